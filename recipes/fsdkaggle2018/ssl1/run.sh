#!/usr/bin/env bash
# FSDKaggle2018: 41 kinds of Freesound clips.
#   ./run.sh                     downloads it (4.6 GB)
#   ./run.sh --data_root DIR     DIR holds FSDKaggle2018.meta/, .audio_train/ and .audio_test/
# Every option of the driver can be given: ./run.sh --help
set -euo pipefail

recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../TEMPLATE/ssl1/ssl.sh" \
    --recipe "$recipe" \
    --corpus fsdkaggle2018 \
    --title "FSDKaggle2018: Freesound clips" \
    --config cpu_quick \
    --sample_rate 16000 \
    "$@"
