#!/usr/bin/env bash
# Judges one encoder of images on every corpus found under a folder and writes one table: Markdown, CSV and a page.
#   ./run.sh --run ../../imagenet100/ssl1/exp/gpu/amortised_s0 --data_root DIR
# DIR holds one folder a corpus, as 'audioinv prepare CORPUS --root' wants it: cifar10/, dtd/, oxford_pets/, ibug_300w/, ...;
# imagenet100/ is ImageNet, of which a hundred classes are taken. The same command with another encoder adds its rows.
# Classes by accuracy (and balanced accuracy, the paper's for Caltech, Flowers and Pets), landmarks by R^2.
# Every option of the driver can be given: ./run.sh --help
set -euo pipefail

recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../TEMPLATE/ssl1/benchmark.sh" \
    --recipe "$recipe" \
    --modality image \
    --config cpu_quick \
    --protocols linear \
    "$@"
