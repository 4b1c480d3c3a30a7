#!/usr/bin/env bash
# Spirograph, InvCLR's second data set: SimCLR with and without the gradient penalty (as published, and with every
# draw bounded), features averaged over views.
# Drawn on the fly: nothing to download, no image on disk. --config paper_invclr_spirograph takes the paper's sizes:
#   ./run.sh --config paper_invclr_spirograph --prepare_opts "--seed 0" --ngpu 1
# Every option of the driver can be given: ./run.sh --help
set -euo pipefail

recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../TEMPLATE/ssl1/ssl.sh" \
    --recipe "$recipe" \
    --modality spirograph \
    --corpus spirograph \
    --title "Spirograph: SimCLR, gradient penalty, feature averaging" \
    --config cpu_quick \
    --download false \
    --prepare_opts "--n_train 3000 --n_valid 500 --n_test 1000" \
    --image_size 32 \
    --methods "simclr invclr invclr_bounded random" \
    --protocols "averaging robustness" \
    --measured "simclr invclr invclr_bounded" \
    "$@"
