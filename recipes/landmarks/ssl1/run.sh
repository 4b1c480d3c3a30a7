#!/usr/bin/env bash
# Landmarks of faces and joints of people, regressed: where things are wants sensitivity to crop, which classes do not.
#   ./run.sh                                                300-W: downloads it
#   ./run.sh --corpus celeba --data_root DIR                DIR holds img_align_celeba/, and the lists of points and parts
#   ./run.sh --corpus leeds_sports_pose --data_root DIR     DIR holds images/ and joints.mat
# Points are fractions of width and height, so images are squashed to a square, not cut to one.
# The paper judged encoders of ImageNet here: recipes/vision_benchmark. This recipe pre-trains on the corpus itself.
# Every option of the driver can be given: ./run.sh --help
set -euo pipefail

recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../TEMPLATE/ssl1/ssl.sh" \
    --recipe "$recipe" \
    --modality image \
    --corpus ibug_300w \
    --corpora "ibug_300w celeba leeds_sports_pose" \
    --config cpu_quick \
    --image_size 64 \
    --pack_opts "--image_fit squash" \
    --methods "amortised simclr simclr_spatial simclr_appearance moco moco_plain random pixels" \
    --measured "amortised simclr moco moco_plain" \
    "$@"
