#!/usr/bin/env bash
# Watkins: 31 species of whales, dolphins and seals.
#   ./run.sh                     downloads it
#   ./run.sh --data_root DIR     DIR holds annotations.csv and the cuts
# Every option of the driver can be given: ./run.sh --help
set -euo pipefail

recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../TEMPLATE/ssl1/ssl.sh" \
    --recipe "$recipe" \
    --corpus watkins \
    --title "Watkins: marine mammals" \
    --config cpu_quick \
    --sample_rate 16000 \
    "$@"
