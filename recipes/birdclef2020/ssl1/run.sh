#!/usr/bin/env bash
# BirdCLEF 2020, pruned as in MetaAudio: 715 species of birds.
#   ./run.sh --data_root DIR     DIR holds audio/<species>/
# There is a login before the audio: 'audioinv prepare birdclef2020 --help' says where.
# Every option of the driver can be given: ./run.sh --help
set -euo pipefail

recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../TEMPLATE/ssl1/ssl.sh" \
    --recipe "$recipe" \
    --corpus birdclef2020 \
    --title "BirdCLEF 2020: species" \
    --config cpu_quick \
    --sample_rate 16000 \
    "$@"
