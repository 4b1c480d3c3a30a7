#!/usr/bin/env bash
# VoxCeleb1: who speaks, of 1,251 people.
#   ./run.sh --data_root DIR     DIR holds wav/, iden_split.txt and vox1_meta.csv
# The audio is given out by request only: 'audioinv prepare voxceleb1 --help' says where; 'audioinv download' gets the lists.
# Every option of the driver can be given: ./run.sh --help
set -euo pipefail

recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../TEMPLATE/ssl1/ssl.sh" \
    --recipe "$recipe" \
    --corpus voxceleb1 \
    --title "VoxCeleb1: who speaks" \
    --config cpu_quick \
    --sample_rate 16000 \
    "$@"
