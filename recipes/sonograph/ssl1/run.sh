#!/usr/bin/env bash
# Sonograph as the audio Spirograph: tones rendered from factors, SimCLR with and without the gradient penalty of
# InvCLR, features averaged over views. Nothing to download, no sound on disk.
# Every option of the driver can be given: ./run.sh --help
set -euo pipefail

recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../TEMPLATE/ssl1/ssl.sh" \
    --recipe "$recipe" \
    --modality sonograph \
    --corpus sonograph_factors \
    --title "Sonograph from factors: SimCLR, gradient penalty, feature averaging" \
    --config cpu_quick \
    --download false \
    --prepare_opts "--n_train 2000 --n_valid 250 --n_test 500" \
    --sample_rate 4000 \
    --methods "simclr invclr random" \
    --protocols "averaging robustness" \
    --measured "simclr invclr" \
    "$@"
