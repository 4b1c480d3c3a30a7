#!/usr/bin/env bash
# Judges one encoder on every corpus found under a folder and writes one table: Markdown, CSV and a page.
#   ./run.sh --run ../../esc10/ssl1/exp/cpu_quick/amortised_s0 --data_root DIR
# DIR holds one folder a corpus, as 'audioinv prepare CORPUS --root' wants it: fsdd/, esc50/, nsynth/, ...; esc10/ is ESC-50, of
# which the ten classes are taken. Those that are there are used. The same command with another encoder adds its rows.
#
# Stages: 1 prepare, 2 pack (validate and pack), 3 adapt, 4 evaluate, 5 report (a page a corpus), 6 table (intervals, ranks, published rows).
# Work already done is skipped, so the same command goes on where it stopped.
# A path you give is relative to the folder you are in; the default ones lie in the recipe's folder.
set -euo pipefail

# --- options: --help and the parser read these lines ---
run=                 # run folder of the encoder, made by any recipe: it holds encoder/
data_root=           # folder with a folder a corpus
corpora="audioset birdclef2020 common_voice crema_d esc10 esc50 fsd50k fsdd fsdkaggle2018 gtzan librispeech nsynth ravdess speech_commands urbansound8k voxceleb1 watkins"  # looked for in data_root
config=cpu_quick     # features, readouts and episodes: conf/experiment/<config>.yaml, for example debug, cpu_quick or gpu
protocols="linear fewshot"  # how the encoder is judged: linear knn fewshot factors finetune
expdir=              # folder of the results; empty: exp/<config>
published=           # CSV of published figures to show; empty: those of data_manifests/published
results=             # Markdown file for the table of results; empty: none
stage=1              # first stage, by number or name
stop_stage=6         # last stage, by number or name
skip_stages=         # stages to leave out, by number or name: "5 table"
dry_run=false        # true: print the commands, ready to paste, and run nothing
jobs=2               # corpora that are worked on at once (stages 3 and 4)
threads=1            # CPU threads of each
nj=2                 # processes that read audio (stage 2)
audioinv_opts=       # Hydra overrides for stages 3 and 4, separated by spaces: "adapt.readout=lda"
audioinv=            # the audioinv command; empty: the one in the repository's .venv, else the one on PATH
# --- end of options ---

stages=(prepare pack adapt evaluate report table)
script=${BASH_SOURCE[0]}
recipe=$(cd -- "$(dirname -- "$script")" && pwd)
# shellcheck source=../../TEMPLATE/ssl1/functions.sh
source "$recipe/../../TEMPLATE/ssl1/functions.sh"
declare -a found=()       # corpora that are there
sample_rate=              # of the encoder, in Hz
seed=                     # that it was made with
name_of_run=

# Episodes of five need five classes to test on, and windows of long or many clips fill the memory.
declare -A own=(
    [birdclef2020]="features.hop_s=20"
    [crema_d]="fewshot.class_split=[0,0,1] fewshot.modes=[fixed:all]"
    [esc10]="fewshot.class_split=[0.5,0,0.5]"
    [fsd50k]="features.hop_s=2"
    [fsdd]="fewshot.class_split=[0.5,0,0.5]"
    [gtzan]="fewshot.class_split=[0.5,0,0.5]"
    [librispeech]="features.hop_s=4"
    [nsynth]="features.hop_s=0"
    [ravdess]="fewshot.class_split=[0,0,1] fewshot.modes=[fixed:all]"
    [urbansound8k]="fewshot.class_split=[0.5,0,0.5]"
    [voxceleb1]="features.hop_s=0"
)

check_options() {
    local name
    for name in nj jobs threads; do check_number "$name" 1; done
    check_given run data_root corpora config protocols
    check_true_or_false dry_run
    [[ -f $run/encoder/encoder.json ]] || die "--run is '$run', which holds no encoder/: give a run folder that 'audioinv pretrain' finished"
    [[ -d $data_root ]] || die "--data_root is '$data_root', which is not a folder"
}

resolve_paths() {  # makes given paths absolute, fills in the defaults, enters the recipe's folder
    absolute run data_root expdir results published
    find_audioinv
    expdir=${expdir:-exp/$config}
    published=${published:-$(cd -- "$recipe/../../.." && pwd)/data_manifests/published/mt_slvr.csv}
    run=$(cd -- "$run" && pwd)
    name_of_run=${run##*/}
    check_expdir
    cd -- "$recipe"
}

read_encoder() {  # the sample rate and the seed that the encoder was made with
    local code='import json, sys; e = json.load(open(sys.argv[1])); print(e["frontend"]["sample_rate"], e["info"]["seed"])'
    read -r sample_rate seed < <(python3 -c "$code" "$run/encoder/encoder.json" 2>/dev/null) ||
        die "$run/encoder/encoder.json tells no sample rate and seed; pre-train again"
}

find_corpora() {
    local all name absent=()
    words all "$corpora"
    for name in "${all[@]}"; do
        if [[ -d $data_root/$name ]]; then found+=("$name"); else absent+=("$name"); fi
    done
    log "found: ${found[*]}"
    log "absent: ${absent[*]}"
    (( ${#found[@]} > 0 )) || die "$data_root holds none of the folders ${all[*]}"
}

claim_results() {  # two encoders of one name would share results
    local file=$expdir/encoders/$name_of_run sum
    [[ $dry_run == false ]] || return 0
    sum=$(cksum <"$run/encoder/encoder.safetensors")
    [[ ! -f $file || $(<"$file") == "$sum" ]] ||
        die "$expdir holds results of another encoder that is called $name_of_run; give another --expdir, or rename the run folder"
    mkdir -p -- "${file%/*}" "$expdir/log"
    printf '%s\n' "$sum" >"$file"
}

stage_prepare() {
    local name options
    for name in "${found[@]}"; do
        options=("$name")
        [[ $name != esc10 ]] || options=(esc50 --subset esc10)
        local command=("$audioinv" prepare "${options[0]}" --root "$data_root/$name" --out "data/$name" "${options[@]:1}")
        if is_prepared "data/$name" "${command[@]}"; then
            log "already done: data/$name/manifest.csv"
        else
            prepare "data/$name" "${command[@]}"
        fi
    done
}

stage_pack() {
    local name
    for name in "${found[@]}"; do validate_and_pack "data/$name" "packs/${name}_$sample_rate" --sample_rate "$sample_rate"; done
}

for_each_corpus() {  # for_each_corpus SUBCOMMAND [OVERRIDE...]: the subcommand on every corpus
    local name its more kind=$1
    (( $# < 2 )) || kind+=_${2#*=}
    words more "$audioinv_opts"
    for name in "${found[@]}"; do
        words its "${own[$name]-}"
        run_or_start "${kind}_${name}_$name_of_run" "$audioinv" "$1" --config_dir conf "$(override experiment "$config")" \
            "$(override run "$run")" "$(override pack "packs/${name}_$sample_rate")" "$(override out "$expdir/$name/$name_of_run")" \
            "seed=$seed" "${its[@]}" "${@:2}" "${more[@]}"
    done
    wait_for_fewer_than 1
}

stage_adapt() { for_each_corpus adapt; }

stage_evaluate() {
    local all protocol
    words all "$protocols"
    for protocol in "${all[@]}"; do for_each_corpus evaluate "protocol=$protocol"; done
}

stage_report() {
    local name made_by="recipes/benchmark/ssl1/run.sh --config $config --protocols '$protocols'"
    for name in "${found[@]}"; do run "$audioinv" report "$expdir/$name" --title "$name" --made_by "$made_by"; done
}

stage_table() {
    local name folders=()
    for name in "${found[@]}"; do folders+=("$expdir/$name"); done
    run "$audioinv" table "${folders[@]}" --out "$expdir/table" --published "$published" ${results:+--results "$results"}
}

main() {
    parse_options "$@"
    check_options
    choose_stages
    resolve_paths
    read_encoder
    find_corpora
    claim_results
    [[ $dry_run == false ]] || quoted cd "$recipe"
    run export OMP_NUM_THREADS="$threads"
    run_stages
}

main "$@"
