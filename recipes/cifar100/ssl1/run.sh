#!/usr/bin/env bash
# CIFAR-100: 100 classes and their 20 superclasses want invariance to hue and crop; tasks that regress either want the opposite.
# Amortised SimCLR over K = 5 augmentations and amortised MoCo-v2 over K = 2 groups, beside all-on and group baselines.
#   ./run.sh                     downloads it (161 MB)
#   ./run.sh --data_root DIR     DIR holds cifar-100-binary/
# Every option of the driver can be given: ./run.sh --help
set -euo pipefail

recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../TEMPLATE/ssl1/ssl.sh" \
    --recipe "$recipe" \
    --modality image \
    --corpus cifar100 \
    --title "CIFAR-100: class against hue and rotation" \
    --config cpu_quick \
    --image_size 32 \
    --methods "amortised simclr simclr_spatial simclr_appearance moco moco_plain random pixels" \
    --measured "amortised simclr moco moco_plain" \
    "$@"
