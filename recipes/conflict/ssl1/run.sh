#!/usr/bin/env bash
# The conflict: who knows the pitch of notes seldom knows sound events, and the other way round. Sets an encoder of any recipe
# beside a random one, its plain spectrum, a speaker encoder (Resemblyzer) and an estimator of pitch (pesto-pitch), all by the
# same labels, folds, readout and tuning: with 10 labels of a class, several draws of them, and with all.
#   ./run.sh --encoder ../../gm_notes/ssl1/exp/cpu_quick/amortised_s0/encoder --data_root DIR
# DIR holds a folder a corpus, those of corpora.txt that are there: gm_notes/, esc10/ (ESC-50, of which the ten classes are taken),
# fsdd/, nsynth/, esc50/. 'audioinv download nsynth --root DIR/nsynth' and 'audioinv download esc50 --root DIR/esc50' bring the two.
# The rivals need pip install 'audioinv[rivals]', which brings their weights; nothing else is downloaded.
#
# Stages: 1 prepare, 2 pack (validate; pack at the rate of the encoder and of each rival), 3 compare (evaluate, and the table).
# Work already done is skipped, so the same command goes on where it stopped.
set -euo pipefail

# --- options: --help and the parser read these lines ---
encoder=             # folder of an encoder (RUN/encoder), or OWNER/NAME on the hub
data_root=           # folder with a folder a corpus
corpora=             # folders looked for in data_root; empty: all that corpora.txt has
rivals="random spectrum resemblyzer pesto"  # what stands beside it; PACKAGE.MODULE:CLASS for a network of yours
labels="10 0"        # of a class, a table each; half train, half choose; 0: all
draws=5              # of the labels, where not all
levels="last depth"  # last layer alone, or depth: tasks choose among all levels
label=               # name of the encoder's rows; empty: that of its method
expdir=exp           # folder of results and of table.md, .csv and .html: one an encoder
results=             # Markdown file for the tables; empty: none
stage=1              # first stage, by number or name
stop_stage=3         # last stage, by number or name
skip_stages=         # stages to leave out, by number or name: "1 2"
dry_run=false        # true: print the commands, ready to paste, and run nothing
threads=1            # CPU threads
nj=2                 # processes that read the files (stage 2)
on_error=fail        # at a file that cannot be read: fail, or skip, which leaves it out and lists it (stages 1 and 2)
also_inside=         # a folder outside the data's own that symbolic links may lead to; empty: none (stages 1 and 2)
audioinv=            # the audioinv command; empty: the one in the repository's .venv, else the one on PATH
# --- end of options ---

# shellcheck disable=SC2034  # functions.sh reads it
stages=(prepare pack compare)
script=${BASH_SOURCE[0]}
here=$(cd -- "$(dirname -- "$script")" && pwd)
declare -A prepared_as=() tasks_of=()  # folder -> what corpora.txt says of it
declare -a listed=() found=() sizes=() given_rivals=()
# shellcheck source=../../TEMPLATE/ssl1/functions.sh
source "$here/../../TEMPLATE/ssl1/functions.sh"

check_options() {
    local name
    for name in nj threads; do check_number "$name" 1; done
    check_number draws 2
    check_given encoder data_root labels levels expdir
    check_true_or_false dry_run
    check_reading
    [[ -d $data_root ]] || die "--data_root is '$data_root', which is not a folder"
}

resolve_paths() {
    [[ ! -d $encoder ]] || absolute encoder
    absolute data_root results also_inside
    [[ $expdir == exp ]] || absolute expdir
    options_of_reading
    find_audioinv
    cd -- "$here"
    words given_rivals "$rivals"
}

find_corpora() {  # corpora.txt: folder | corpus and options of 'audioinv prepare' | tasks
    local name prepare tasks all absent=()
    while IFS='|' read -r name prepare tasks; do
        name=${name//[[:space:]]/}
        [[ -n $name && $name != \#* ]] || continue
        listed+=("$name")
        prepared_as[$name]=$prepare
        tasks_of[$name]=$tasks
    done <corpora.txt
    words all "${corpora:-${listed[*]}}"
    for name in "${all[@]}"; do
        [[ " ${listed[*]} " == *" $name "* ]] || die "--corpora: there is no '$name'; give some of ${listed[*]}"
        if [[ -d $data_root/$name ]]; then found+=("$name"); else absent+=("$name"); fi
    done
    log "found: ${found[*]}"
    log "absent: ${absent[*]}"
    (( ${#found[@]} > 0 )) || die "$data_root holds none of the folders ${all[*]}"
}

compare_command() {  # sets command: 'audioinv compare' of this encoder
    command=("$audioinv" compare --encoder "$encoder" --out "$expdir" --rivals "${given_rivals[@]}")
}

find_sizes() {  # the sample rates that the encoder and its rivals want
    local command told
    compare_command
    told=$("${command[@]}" --sizes) || die "--encoder or --rivals cannot be used: see above"
    words sizes "$told"
}

stage_prepare() {
    local name options
    for name in "${found[@]}"; do
        words options "${prepared_as[$name]}"
        local command=("$audioinv" prepare "${options[0]}" --root "$data_root/$name" --out "data/$name" "${options[@]:1}" "${reading[@]}")
        if is_prepared "data/$name" "${command[@]}"; then
            log "already done: data/$name"
        else
            prepare "data/$name" "${command[@]}"
        fi
    done
}

stage_pack() {
    local name rate
    for name in "${found[@]}"; do
        for rate in "${sizes[@]}"; do validate_and_pack "data/$name" "packs/${name}_$rate" --sample_rate "$rate"; done
    done
}

stage_compare() {
    local name rate all command packs=() tasks=() many_labels many_levels
    for name in "${found[@]}"; do
        for rate in "${sizes[@]}"; do packs+=("packs/${name}_$rate"); done
        words all "${tasks_of[$name]}"
        tasks+=("${all[@]/#/$name:}")
    done
    words many_labels "$labels"
    words many_levels "$levels"
    compare_command
    command+=(--packs "${packs[@]}" --tasks "${tasks[@]}" --labels "${many_labels[@]}" --draws "$draws" --levels "${many_levels[@]}")
    command+=(--published ../../../data_manifests/published/hear_conflict.csv)
    command+=(--made_by "recipes/conflict/ssl1/run.sh --encoder ENCODER --data_root DIR$(changed corpora rivals labels draws levels label)")
    run "${command[@]}" ${label:+--label "$label"} ${results:+--results "$results"}
}

main() {
    parse_options "$@"
    check_options
    choose_stages
    resolve_paths
    find_corpora
    find_sizes
    [[ $dry_run == false ]] || quoted cd "$here"
    run export OMP_NUM_THREADS="$threads"
    run_stages
}

main "$@"
