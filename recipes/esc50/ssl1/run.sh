#!/usr/bin/env bash
# ESC-50: fifty environmental sounds, five folds.
#   ./run.sh                     downloads it (600 MB)
#   ./run.sh --data_root DIR     DIR holds audio/ and meta/
# Every option of the driver can be given: ./run.sh --help
set -euo pipefail

recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../TEMPLATE/ssl1/ssl.sh" \
    --recipe "$recipe" \
    --corpus esc50 \
    --title "ESC-50: environmental sounds" \
    --config cpu_quick \
    --sample_rate 16000 \
    "$@"
