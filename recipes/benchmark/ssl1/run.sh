#!/usr/bin/env bash
# Judges one encoder of sounds on every corpus found under a folder and writes one table: Markdown, CSV and a page.
#   ./run.sh --run ../../esc10/ssl1/exp/cpu_quick/amortised_s0 --data_root DIR
# DIR holds one folder a corpus, as 'audioinv prepare CORPUS --root' wants it: fsdd/, esc50/, nsynth/, ...; esc10/ is ESC-50, of
# which the ten classes are taken. Those that are there are used. The same command with another encoder adds its rows.
# Every option of the driver can be given: ./run.sh --help
set -euo pipefail

recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../TEMPLATE/ssl1/benchmark.sh" \
    --recipe "$recipe" \
    --config cpu_quick \
    --protocols "linear fewshot fewshot_published" \
    --published "$recipe/../../../data_manifests/published/mt_slvr.csv" \
    "$@"
