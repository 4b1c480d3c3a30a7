#!/usr/bin/env bash
# Free Spoken Digit Dataset: digit wants invariance to pitch, speaker does not.
#   ./run.sh                     downloads it (16 MB)
#   ./run.sh --data_root DIR     DIR holds recordings/
# Every option of the driver can be given: ./run.sh --help
set -euo pipefail

recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../TEMPLATE/ssl1/ssl.sh" \
    --recipe "$recipe" \
    --corpus fsdd \
    --title "FSDD: digit against speaker" \
    --config cpu_quick \
    --sample_rate 8000 \
    "$@"
