#!/usr/bin/env bash
# GTZAN: ten genres, in the fault-filtered split.
#   ./run.sh                     downloads it (1.2 GB)
#   ./run.sh --data_root DIR     DIR holds genres/
# Every option of the driver can be given: ./run.sh --help
set -euo pipefail

recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../TEMPLATE/ssl1/ssl.sh" \
    --recipe "$recipe" \
    --corpus gtzan \
    --title "GTZAN: genre" \
    --config cpu_quick \
    --sample_rate 16000 \
    "$@"
