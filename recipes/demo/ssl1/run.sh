#!/usr/bin/env bash
# The demo: sounds made by the sonograph synthesiser, where timbre and pitch class want opposite invariances.
# Nothing to download. Every option of the driver can be given: ./run.sh --help
set -euo pipefail

recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../TEMPLATE/ssl1/ssl.sh" \
    --recipe "$recipe" \
    --corpus sonograph \
    --title "Sonograph: pitch class against timbre" \
    --config cpu_quick \
    --download false \
    --prepare_opts "--sample_rate 8000" \
    --sample_rate 8000 \
    --methods "amortised simclr random logmel" \
    --measured "amortised simclr" \
    "$@"
