#!/usr/bin/env bash
# Common Voice: which language, spoken by people never heard before.
#   ./run.sh --data_root DIR                                       DIR holds <language>/validated.tsv and clips/
#   ./run.sh --data_root DIR --prepare_opts "--label accent --languages en"
# There is a login before the audio: 'audioinv prepare common_voice --help' says where.
# Every option of the driver can be given: ./run.sh --help
set -euo pipefail

recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../TEMPLATE/ssl1/ssl.sh" \
    --recipe "$recipe" \
    --corpus common_voice \
    --title "Common Voice: language" \
    --config cpu_quick \
    --sample_rate 16000 \
    "$@"
