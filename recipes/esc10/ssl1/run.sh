#!/usr/bin/env bash
# ESC-10: ten environmental sounds, five folds; every baseline of the table.
#   ./run.sh --data_root DIR     DIR holds audio/ and meta/
# Every option of the driver can be given: ./run.sh --help
set -euo pipefail

recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../TEMPLATE/ssl1/ssl.sh" \
    --recipe "$recipe" \
    --corpus esc50 \
    --title "ESC-10: environmental sounds" \
    --config cpu_quick \
    --prepare_opts "--subset esc10" \
    --sample_rate 16000 \
    --methods "amortised simclr simclr_frequency simclr_time concat_groups conditioned_allon looc augself mt_slvr random logmel" \
    "$@"
