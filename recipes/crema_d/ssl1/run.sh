#!/usr/bin/env bash
# CREMA-D: emotion of actors never heard before.
#   ./run.sh --data_root DIR     DIR is a clone of the repository, made with git-lfs
# A zip of the repository has no audio: 'audioinv prepare crema_d --help' says how to clone it.
# Every option of the driver can be given: ./run.sh --help
set -euo pipefail

recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../TEMPLATE/ssl1/ssl.sh" \
    --recipe "$recipe" \
    --corpus crema_d \
    --title "CREMA-D: emotion of unseen actors" \
    --config cpu_quick \
    --sample_rate 16000 \
    "$@"
