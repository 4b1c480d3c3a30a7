#!/usr/bin/env bash
# ImageNet-100: the paper's corpus for ResNets. ImageNet has to be fetched by hand, after a login.
#   ./run.sh --data_root DIR     DIR holds train/CLASS/*.JPEG and val/CLASS/*.JPEG; of its classes a hundred are taken
# The paper's settings, on one GPU, with the baselines it compares to:
#   ./run.sh --data_root DIR --config paper --image_size 224 --ngpu 1 --jobs 1 --methods "moco moco_plain moco_spatial moco_appearance"
#   ./run.sh --data_root DIR --config paper_simclr_image --image_size 224 --ngpu 1 --jobs 1 --methods "amortised simclr"
# Every option of the driver can be given: ./run.sh --help
set -euo pipefail

recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../TEMPLATE/ssl1/ssl.sh" \
    --recipe "$recipe" \
    --modality image \
    --corpus imagenet \
    --title "ImageNet-100: class against hue and rotation" \
    --config cpu_quick \
    --prepare_opts "--classes ../../../data_manifests/imagenet100/classes.txt" \
    --image_size 64 \
    --methods "amortised simclr simclr_spatial simclr_appearance moco moco_plain random pixels" \
    --measured "amortised simclr moco moco_plain" \
    "$@"
