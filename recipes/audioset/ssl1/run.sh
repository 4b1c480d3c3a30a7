#!/usr/bin/env bash
# AudioSet, the balanced list: 527 kinds of sounds; the set that MT-SLVR pre-trains on.
#   ./run.sh --data_root DIR     DIR holds the lists, balanced_train_segments/ and eval_segments/
# The audio has to be had from YouTube: 'audioinv prepare audioset --help'; 'audioinv download' gets the lists.
# Every option of the driver can be given: ./run.sh --help
set -euo pipefail

recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../TEMPLATE/ssl1/ssl.sh" \
    --recipe "$recipe" \
    --corpus audioset \
    --title "AudioSet, balanced: sounds" \
    --config cpu_quick \
    --sample_rate 16000 \
    "$@"
