#!/usr/bin/env bash
# FSD50K: 200 kinds of events, several in a clip.
#   ./run.sh                     downloads it (25 GB, and as much again unpacked)
#   ./run.sh --data_root DIR     DIR holds FSD50K.ground_truth/, FSD50K.dev_audio/ and FSD50K.eval_audio/
# Every option of the driver can be given: ./run.sh --help
set -euo pipefail

recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../TEMPLATE/ssl1/ssl.sh" \
    --recipe "$recipe" \
    --corpus fsd50k \
    --title "FSD50K: events" \
    --config cpu_quick \
    --sample_rate 16000 \
    "$@"
