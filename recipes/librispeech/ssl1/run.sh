#!/usr/bin/env bash
# LibriSpeech, train-clean-100: who reads.
#   ./run.sh                     downloads train-clean-100
#   ./run.sh --data_root DIR     DIR holds LibriSpeech/, or its SPEAKERS.TXT and train-clean-100/
# Every option of the driver can be given: ./run.sh --help
set -euo pipefail

recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../TEMPLATE/ssl1/ssl.sh" \
    --recipe "$recipe" \
    --corpus librispeech \
    --title "LibriSpeech: who reads" \
    --config cpu_quick \
    --sample_rate 16000 \
    "$@"
