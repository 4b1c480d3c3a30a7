#!/usr/bin/env bash
# UrbanSound8K: ten city sounds, ten folds.
#   ./run.sh                     downloads it (6.0 GB)
#   ./run.sh --data_root DIR     DIR holds UrbanSound8K/, or its audio/ and metadata/
# Every option of the driver can be given: ./run.sh --help
set -euo pipefail

recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../TEMPLATE/ssl1/ssl.sh" \
    --recipe "$recipe" \
    --corpus urbansound8k \
    --title "UrbanSound8K: city sounds" \
    --config cpu_quick \
    --sample_rate 16000 \
    "$@"
