#!/usr/bin/env bash
# General MIDI notes: the program wants invariance to pitch, the pitch class wants the pitch and nothing of the timbre.
#   ./run.sh --data_root DIR                          DIR holds notes.csv and audio/
#   ./run.sh --prepare_opts "--soundfont /FILE.sf2"   renders them by fluidsynth, in minutes
# Every option of the driver can be given: ./run.sh --help
set -euo pipefail

recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../TEMPLATE/ssl1/ssl.sh" \
    --recipe "$recipe" \
    --corpus gm_notes \
    --title "General MIDI notes: program against pitch class" \
    --config cpu_quick \
    --download false \
    --sample_rate 8000 \
    --methods "amortised simclr simclr:pitch_shift simclr:-pitch_shift simclr:-white_noise random logmel" \
    --measured "amortised simclr" \
    "$@"
