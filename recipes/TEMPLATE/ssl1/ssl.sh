#!/usr/bin/env bash
# Pre-trains encoders on a corpus, adapts its tasks and writes the report. Run a recipe's run.sh, not this.
#
# Stages: 1 prepare (download and prepare), 2 pack (validate and pack), 3 statistics, 4 pretrain, 5 adapt, 6 evaluate, 7 measure, 8 report.
# Work already done is skipped, so the same command goes on where it stopped.
# A path you give is relative to the folder you are in; the default ones lie in the recipe's folder.
set -euo pipefail

# --- options: --help and the parser read these lines ---
recipe=              # folder of the recipe, with conf/ in it (run.sh gives it)
corpus=              # name of the corpus, as 'audioinv prepare --help' lists them
corpora=             # names that --corpus may be, where a recipe is for several; each then has experiments of its own
title=               # of the report; empty: the name of the corpus
config=cpu_quick     # experiment: conf/experiment/<config>.yaml, for example debug, cpu_quick or gpu
modality=audio       # what the corpus holds: one of those that 'audioinv modalities' lists
data_root=           # folder of the corpus's files; empty: downloads/<corpus>, to which it is downloaded
# shellcheck disable=SC2034  # choose_size reads it by its name
sample_rate=16000    # of the pack and the models, in Hz (audio)
# shellcheck disable=SC2034  # choose_size reads it by its name
image_size=32        # of the pack and the models, in pixels a side (image)
size=                # of the pack of any modality, in its own unit; empty: the one of the two above that is its own
download=true        # false: the corpus has nothing to download
download_opts=       # more options for 'audioinv download', separated by spaces
prepare_opts=        # more options for 'audioinv prepare', separated by spaces
pack_opts=           # more options for 'audioinv pack', separated by spaces: "--image_fit squash"
expdir=              # folder of the experiment; empty: exp/<config>, for one of several corpora exp/<corpus>/<config>
results=             # Markdown file for the table of results; empty: none
stage=1              # first stage, by number or name
stop_stage=8         # last stage, by number or name
skip_stages=         # stages to leave out, by number or name: "3 measure"
dry_run=false        # true: print the commands, ready to paste, and run nothing
methods="amortised simclr simclr_frequency simclr_time conditioned_allon random logmel"  # the rows of the table
joined="concat_groups"  # the methods that join finished encoders of others: they wait for them (stage 4)
protocols="linear"   # how encoders are judged (stage 6): linear knn fewshot fewshot_published factors finetune averaging robustness
measured="amortised simclr conditioned_allon"  # the methods among them whose invariance is measured (stage 7)
seeds=0              # one run for each method and seed: "0 1 2"
jobs=2               # runs that go on at once (stages 4 to 7)
threads=1            # CPU threads of each run
nj=2                 # processes that read the files (stage 2)
on_error=fail        # at a file that cannot be read: fail, or skip, which leaves it out and lists it (stages 1 and 2)
also_inside=         # a folder outside the data's own that symbolic links may lead to, such as an annex; empty: none (stages 1 and 2)
ngpu=0               # GPUs, which the runs take in turn; 0: CPU
audioinv_opts=       # Hydra overrides for stages 3 to 7, separated by spaces: "pretrain.steps=10"
audioinv=            # the audioinv command; empty: the one in the repository's .venv, else the one on PATH
# --- end of options ---

stages=(prepare pack statistics pretrain adapt evaluate measure report)
script=${BASH_SOURCE[0]}
of_size=                  # what the modality calls the size of its packs
declare -a gpus=()        # what CUDA_VISIBLE_DEVICES may be for one run
# shellcheck source=functions.sh
source "$(dirname -- "$script")/functions.sh"

# ---------------------------------------------------------------------------------------- options

check_options() {
    local name
    for name in nj jobs threads sample_rate image_size; do check_number "$name" 1; done
    check_number ngpu 0
    [[ -z $size ]] || check_number size 1
    check_reading
    check_given recipe corpus config methods seeds
    [[ -d $recipe ]] || die "--recipe is '$recipe', which is not a folder"
    [[ -z $corpora || " $corpora " == *" $corpus "* ]] || die "--corpus is '$corpus'; give one of $corpora"
    check_seeds
    check_true_or_false dry_run download
}

resolve_paths() {  # makes given paths absolute, fills in the defaults, enters the recipe's folder
    absolute recipe data_root expdir results also_inside
    options_of_reading
    find_audioinv
    [[ -z $data_root ]] || download=false
    data_root=${data_root:-downloads/$corpus}
    expdir=${expdir:-exp/${corpora:+$corpus/}$config}
    check_expdir
    cd -- "$recipe"
}

choose_size() {  # --size, or what is given by the modality's name for it
    ask_of_size
    [[ -n $size || -z ${default[$of_size]-} ]] || size=${!of_size}
    [[ -n $size ]] || die "--size is empty; give the $of_size of the pack, which is of modality $modality"
}

choose_gpus() {  # the first --ngpu of the GPUs that CUDA_VISIBLE_DEVICES allows
    (( ngpu > 0 )) || { gpus=(""); return 0; }
    IFS=, read -r -a gpus <<<"${CUDA_VISIBLE_DEVICES-$(seq -s, 0 $((ngpu - 1)))}"
    (( ${#gpus[@]} >= ngpu )) ||
        die "--ngpu is $ngpu but CUDA_VISIBLE_DEVICES is '$CUDA_VISIBLE_DEVICES'; name as many GPUs or lower --ngpu"
    gpus=("${gpus[@]:0:ngpu}")
}

check_names() {  # whether the experiment, methods, protocols and tasks exist: before hours of downloads and training
    local more asked=$methods
    [[ $measured == "${default[measured]}" ]] || asked+=" $measured"
    words more "$audioinv_opts"
    "$audioinv" check --config_dir conf "modality=$modality" "$(override experiment "$config")" \
        --methods "$asked" --protocols "$protocols" --corpus "$corpus" "${more[@]}"
}

# ------------------------------------------------------------------------------ commands and runs

hydra_command() {  # hydra_command SUBCOMMAND [OVERRIDE...]: sets the array `command`
    local more
    words more "$audioinv_opts"
    command=("$audioinv" "$1" --config_dir conf "modality=$modality" "$(override experiment "$config")" "$(override pack "packs/$corpus")"
        "$(override statistics "$expdir/statistics.json")" "${@:2}" "${more[@]}")
}

for_each_run() {  # for_each_run SUBCOMMAND METHODS [OVERRIDE...]: the subcommand on the run of each seed and method
    local all_seeds all_methods seed method number=0 command kind=$1
    (( $# < 3 )) || kind+=_${3#*=}
    words all_seeds "$seeds"
    words all_methods "$2"
    [[ $dry_run == true ]] || mkdir -p -- "$expdir/log"
    for seed in "${all_seeds[@]}"; do
        for method in "${all_methods[@]}"; do
            (( ${#gpus[@]} == 1 )) || run export CUDA_VISIBLE_DEVICES="${gpus[number++ % ngpu]}"
            hydra_command "$1" "method=$method" "$(override run "$expdir/${method}_s$seed")" "seed=$seed" "${@:3}"
            run_or_start "${kind}_${method}_s$seed" "${command[@]}"
        done
    done
    wait_for_fewer_than 1
}

# ----------------------------------------------------------------------------------------- stages

stage_prepare() {
    local options more folder=data/$corpus
    words options "$prepare_opts"
    words more "$download_opts"
    local command=("$audioinv" prepare "$corpus" --root "$data_root" --out "$folder" "${options[@]}" "${reading[@]}")
    if is_prepared "$folder" "${command[@]}"; then
        log "already done: $folder"
        return
    fi
    [[ $download == false ]] || run "$audioinv" download "$corpus" --root "$data_root" "${more[@]}"
    prepare "$folder" "${command[@]}"
}

stage_pack() {
    local more
    words more "$pack_opts"
    validate_and_pack "data/$corpus" "packs/$corpus" "--$of_size" "$size" "${more[@]}"
}

stage_statistics() {
    local command
    hydra_command statistics
    run "${command[@]}"
}

stage_pretrain() {
    for_each_run pretrain "$(methods_in "$joined" no)"
    for_each_run pretrain "$(methods_in "$joined" yes)"
}

stage_adapt() { for_each_run adapt "$methods"; }

stage_evaluate() {
    local all protocol
    words all "$protocols"
    for protocol in "${all[@]}"; do for_each_run evaluate "$methods" "protocol=$protocol"; done
}

stage_measure() { for_each_run measure "$(methods_in "$measured" yes)"; }

methods_in() {  # methods_in LIST yes|no: the methods that are, or are not, in LIST
    local all wanted method is
    words all "$methods"
    words wanted "$1"
    for method in "${all[@]}"; do
        is=no
        [[ " ${wanted[*]} " != *" $method "* ]] || is=yes
        [[ $is != "$2" ]] || printf '%s ' "$method"
    done
}

stage_report() {
    local corpus_folder=${recipe%/*}
    local made_by="recipes/${corpus_folder##*/}/${recipe##*/}/run.sh${corpora:+ --corpus $corpus} --config $config --seeds '$seeds'"
    made_by+=$(changed methods measured protocols audioinv_opts on_error)
    run "$audioinv" report "$expdir" --pack "packs/$corpus" --title "${title:-$corpus}" --made_by "$made_by" ${results:+--results "$results"}
}

main() {
    parse_options "$@"
    check_options
    choose_stages
    resolve_paths
    choose_size
    choose_gpus
    check_names
    [[ $dry_run == false ]] || quoted cd "$recipe"
    run export OMP_NUM_THREADS="$threads" CUDA_VISIBLE_DEVICES="${gpus[0]}"
    run_stages
}

main "$@"
