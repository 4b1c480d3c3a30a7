#!/usr/bin/env bash
# Notes and noises: pre-training on synthesised sounds alone. `--config released` is how the encoder audioinv/notes-and-noises
# was made; --prepare_opts "--n_train 200000" draws more sounds. Nothing to download.
# Every option of the driver can be given: ./run.sh --help
set -euo pipefail

recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../TEMPLATE/ssl1/ssl.sh" \
    --recipe "$recipe" \
    --corpus notes_and_noises \
    --title "Notes and noises: pre-training on synthesised sounds" \
    --config cpu_quick \
    --download false \
    --prepare_opts "--n_train 24000" \
    --sample_rate 16000 \
    --methods "amortised simclr random logmel" \
    --measured "amortised simclr" \
    "$@"
