#!/usr/bin/env bash
# NSynth: an instrument's family wants invariance to pitch, the pitch does not.
#   ./run.sh                     downloads it (25 GB)
#   ./run.sh --data_root DIR     DIR holds nsynth-train/, nsynth-valid/ and nsynth-test/
# Every option of the driver can be given: ./run.sh --help
set -euo pipefail

recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../TEMPLATE/ssl1/ssl.sh" \
    --recipe "$recipe" \
    --corpus nsynth \
    --title "NSynth: family against pitch" \
    --config cpu_quick \
    --sample_rate 16000 \
    "$@"
