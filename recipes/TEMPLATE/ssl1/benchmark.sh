#!/usr/bin/env bash
# Judges one encoder on every corpus found under a folder and writes one table: Markdown, CSV and a page.
# Run recipes/benchmark/ssl1/run.sh for sounds, recipes/vision_benchmark/ssl1/run.sh for images, not this.
# The recipe's corpora.txt says which corpora there are. The same command with another encoder adds its rows.
#
# Stages: 1 prepare, 2 pack (validate and pack), 3 adapt, 4 evaluate, 5 report (a page a corpus), 6 table (intervals, ranks, published rows).
# Work already done is skipped, so the same command goes on where it stopped.
# A path you give is relative to the folder you are in; the default ones lie in the recipe's folder.
set -euo pipefail

# --- options: --help and the parser read these lines ---
recipe=              # folder of the recipe, with conf/ and corpora.txt in it (run.sh gives it)
modality=audio       # what the corpora hold: one of those that 'audioinv modalities' lists
run=                 # run folder of the encoder, made by any recipe: it holds encoder/
data_root=           # folder with a folder a corpus
corpora=             # folders looked for in data_root; empty: all that corpora.txt has
config=cpu_quick     # features, readouts and episodes: conf/experiment/<config>.yaml, for example debug, cpu_quick or gpu
protocols="linear fewshot"  # how the encoder is judged: linear knn fewshot fewshot_published factors finetune averaging robustness
expdir=              # folder of the results; empty: exp/<config>
published=           # CSV of published figures to show; empty: none
results=             # Markdown file for the table of results; empty: none
stage=1              # first stage, by number or name
stop_stage=6         # last stage, by number or name
skip_stages=         # stages to leave out, by number or name: "5 table"
dry_run=false        # true: print the commands, ready to paste, and run nothing
jobs=2               # corpora that are worked on at once (stages 3 and 4)
threads=1            # CPU threads of each
nj=2                 # processes that read the files (stage 2)
on_error=fail        # at a file that cannot be read: fail, or skip, which leaves it out and lists it (stages 1 and 2)
also_inside=         # a folder outside the data's own that symbolic links may lead to, such as an annex; empty: none (stages 1 and 2)
audioinv_opts=       # Hydra overrides for stages 3 and 4, separated by spaces: "adapt.readout=lda"
audioinv=            # the audioinv command; empty: the one in the repository's .venv, else the one on PATH
# --- end of options ---

stages=(prepare pack adapt evaluate report table)
script=${BASH_SOURCE[0]}
declare -A prepared_as=() pack_opts=() own=()  # folder -> what corpora.txt says of it
declare -a listed=() found=()  # folders of corpora.txt, and those that are there
of_size=                  # what the modality calls the size of its packs
size=                     # that of the encoder's pack
seed=                     # that it was made with
name_of_run=
# shellcheck source=functions.sh
source "$(dirname -- "$script")/functions.sh"

check_options() {
    local name
    for name in nj jobs threads; do check_number "$name" 1; done
    check_given recipe run data_root config protocols
    check_true_or_false dry_run
    check_reading
    [[ -f $recipe/corpora.txt ]] || die "--recipe is '$recipe', which has no corpora.txt"
    [[ -f $run/encoder/encoder.json ]] || die "--run is '$run', which holds no encoder/: give a run folder that 'audioinv pretrain' finished"
    [[ -d $data_root ]] || die "--data_root is '$data_root', which is not a folder"
}

resolve_paths() {  # makes given paths absolute, fills in the defaults, enters the recipe's folder
    absolute recipe run data_root expdir results published also_inside
    options_of_reading
    find_audioinv
    expdir=${expdir:-exp/$config}
    run=$(cd -- "$run" && pwd)
    name_of_run=${run##*/}
    check_expdir
    cd -- "$recipe"
}

read_encoder() {  # the size of pack and the seed that the encoder was made with
    local code='import json, sys; e = json.load(open(sys.argv[1])); print(e["frontend"][sys.argv[2]], e["info"]["seed"])'
    ask_of_size
    read -r size seed < <(python3 -c "$code" "$run/encoder/encoder.json" "$of_size" 2>/dev/null) ||
        die "$run/encoder/encoder.json tells no $of_size and seed: pre-train on this modality, $modality"
}

check_names() {  # whether the settings and protocols exist
    local more
    words more "$audioinv_opts"
    "$audioinv" check --config_dir conf "modality=$modality" "$(override experiment "$config")" --protocols "$protocols" "${more[@]}"
}

read_corpora() {  # corpora.txt: folder | corpus and options of 'audioinv prepare' | options of 'audioinv pack' | overrides
    local name prepare pack more
    while IFS='|' read -r name prepare pack more; do
        name=${name//[[:space:]]/}
        [[ -n $name && $name != \#* ]] || continue
        listed+=("$name")
        prepared_as[$name]=$prepare
        pack_opts[$name]=$pack
        own[$name]=$more
    done <corpora.txt
}

find_corpora() {
    local all name absent=()
    words all "${corpora:-${listed[*]}}"
    for name in "${all[@]}"; do
        [[ " ${listed[*]} " == *" $name "* ]] || die "--corpora: there is no '$name'; give some of ${listed[*]}"
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
    local name options
    for name in "${found[@]}"; do
        words options "${pack_opts[$name]}"
        validate_and_pack "data/$name" "packs/${name}_$size" "--$of_size" "$size" "${options[@]}"
    done
}

for_each_corpus() {  # for_each_corpus SUBCOMMAND [OVERRIDE...]: the subcommand on every corpus
    local name its more kind=$1
    (( $# < 2 )) || kind+=_${2#*=}
    words more "$audioinv_opts"
    for name in "${found[@]}"; do
        words its "${own[$name]}"
        run_or_start "${kind}_${name}_$name_of_run" "$audioinv" "$1" --config_dir conf "modality=$modality" "$(override experiment "$config")" \
            "$(override run "$run")" "$(override pack "packs/${name}_$size")" "$(override out "$expdir/$name/$name_of_run")" \
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
    local name folder=${recipe%/*}
    local made_by="recipes/${folder##*/}/${recipe##*/}/run.sh --config $config --protocols '$protocols'"
    for name in "${found[@]}"; do run "$audioinv" report "$expdir/$name" --title "$name" --made_by "$made_by"; done
}

stage_table() {
    local name folders=()
    for name in "${found[@]}"; do folders+=("$expdir/$name"); done
    run "$audioinv" table "${folders[@]}" --out "$expdir/table" ${published:+--published "$published"} ${results:+--results "$results"}
}

main() {
    parse_options "$@"
    check_options
    choose_stages
    resolve_paths
    read_encoder
    read_corpora
    find_corpora
    check_names
    claim_results
    [[ $dry_run == false ]] || quoted cd "$recipe"
    run export OMP_NUM_THREADS="$threads"
    run_stages
}

main "$@"
