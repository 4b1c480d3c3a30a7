#!/usr/bin/env bash
# RAVDESS: emotion of unseen actors may want invariance to what tells the actors apart.
#   ./run.sh                     downloads it (208 MB)
#   ./run.sh --data_root DIR     DIR holds Actor_01/ to Actor_24/
# Every option of the driver can be given: ./run.sh --help
set -euo pipefail

recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../TEMPLATE/ssl1/ssl.sh" \
    --recipe "$recipe" \
    --corpus ravdess \
    --title "RAVDESS: emotion against actor" \
    --config cpu_quick \
    --sample_rate 16000 \
    "$@"
