#!/usr/bin/env bash
# Speech Commands, version 2: 35 words, speakers apart.
#   ./run.sh                     downloads it (2.4 GB)
#   ./run.sh --data_root DIR     DIR holds the words' folders, or speech_commands_v0.02/ with them
# Every option of the driver can be given: ./run.sh --help
set -euo pipefail

recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../TEMPLATE/ssl1/ssl.sh" \
    --recipe "$recipe" \
    --corpus speech_commands \
    --title "Speech Commands: 35 words" \
    --config cpu_quick \
    --sample_rate 16000 \
    "$@"
