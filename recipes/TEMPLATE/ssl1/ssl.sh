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
title=               # of the report; empty: the name of the corpus
config=cpu_quick     # experiment: conf/experiment/<config>.yaml, for example debug, cpu_quick or gpu
data_root=           # folder of the corpus's audio; empty: downloads/<corpus>, to which it is downloaded
sample_rate=16000    # of the pack and the models, in Hz
download=true        # false: the corpus has nothing to download
download_opts=       # more options for 'audioinv download', separated by spaces
prepare_opts=        # more options for 'audioinv prepare', separated by spaces
expdir=              # folder of the experiment; empty: exp/<config>
results=             # Markdown file for the table of results; empty: none
stage=1              # first stage, by number or name
stop_stage=8         # last stage, by number or name
skip_stages=         # stages to leave out, by number or name: "3 measure"
dry_run=false        # true: print the commands, ready to paste, and run nothing
methods="amortised simclr simclr_frequency simclr_time conditioned_allon random logmel"  # the rows of the table
joined="concat_groups"  # the methods that join finished encoders of others: they wait for them (stage 4)
protocols="linear"   # how encoders are judged (stage 6): linear knn fewshot factors finetune
measured="amortised simclr conditioned_allon"  # the methods among them whose invariance is measured (stage 7)
seeds=0              # one run for each method and seed: "0 1 2"
jobs=2               # runs that go on at once (stages 4 to 7)
threads=1            # CPU threads of each run
nj=2                 # processes that read audio (stage 2)
ngpu=0               # GPUs, which the runs take in turn; 0: CPU
audioinv_opts=       # Hydra overrides for stages 3 to 7, separated by spaces: "train.steps=10"
audioinv=            # the audioinv command; empty: the one in the repository's .venv, else the one on PATH
# --- end of options ---

stages=(prepare pack statistics pretrain adapt evaluate measure report)
script=${BASH_SOURCE[0]}
current_stage=
declare -a running=()     # process id -> name of a run that is going on
declare -a gpus=()        # what CUDA_VISIBLE_DEVICES may be for one run

log() { printf '[%(%Y-%m-%dT%H:%M:%S)T] %s\n' -1 "$*" >&2; }
die() { log "ssl.sh: $*"; exit 2; }

# ---------------------------------------------------------------------------------------- options

option_lines() { sed -n '/^# --- options/,/^# --- end/ { /^[a-z_]*=/ p }' "$script"; }

show_help() {
    sed -n '2,/^set /{ s/^# \{0,1\}//p }' "$script"
    printf '\nOptions, as --name value or --name=value:\n'
    local line name default
    while IFS= read -r line; do
        name=${line%%=*}
        default=${line#*=}
        default=${default%%  #*}
        default=${default%"${default##*[! ]}"}
        printf '  --%-14s %s%s\n' "$name" "${line#*  # }" "${default:+ [${default//\"/}]}"
    done < <(option_lines)
}

parse_options() {
    local known name value
    known=$(option_lines | sed 's/=.*//')
    while (( $# > 0 )); do
        case $1 in
            -h | --help) show_help; exit 0 ;;
            --*=*) name=${1%%=*} value=${1#*=} ;;
            --*) (( $# > 1 )) || die "$1 needs a value; see --help"
                 name=$1 value=$2
                 shift ;;
            *) die "unexpected argument '$1'; options look like --name value, see --help" ;;
        esac
        shift
        name=${name#--}
        [[ $'\n'$known$'\n' == *$'\n'"$name"$'\n'* ]] || die "unknown option '--$name'; see --help"
        printf -v "$name" '%s' "$value"
    done
}

check_number() {  # check_number NAME LOWEST
    if [[ ! ${!1} =~ ^(0|[1-9][0-9]{0,8})$ ]] || (( ${!1} < $2 )); then
        die "--$1 is '${!1}'; give a whole number, $2 or more"
    fi
}

check_options() {
    local name
    for name in nj jobs threads sample_rate; do check_number "$name" 1; done
    check_number ngpu 0
    for name in recipe corpus config methods seeds; do
        [[ -n ${!name} ]] || die "--$name is empty; see --help"
    done
    [[ -d $recipe ]] || die "--recipe is '$recipe', which is not a folder"
    for name in dry_run download; do
        [[ ${!name} == true || ${!name} == false ]] || die "--$name is '${!name}'; give true or false"
    done
}

resolve_paths() {  # makes given paths absolute, fills in the defaults, enters the recipe's folder
    local name
    for name in recipe data_root expdir results; do
        [[ -z ${!name} || ${!name} == /* ]] || printf -v "$name" '%s/%s' "$PWD" "${!name}"
    done
    [[ $audioinv != */* || $audioinv == /* ]] || audioinv=$PWD/$audioinv
    [[ -n $audioinv ]] || find_audioinv
    [[ -z $data_root ]] || download=false
    data_root=${data_root:-downloads/$corpus}
    expdir=${expdir:-exp/$config}
    [[ $expdir != *[\\\$]* ]] || die "--expdir is '$expdir'; Hydra reads \\ and \$ as its own: choose a folder without them"
    cd -- "$recipe"
}

find_audioinv() {
    local repository
    repository=$(cd -- "$(dirname -- "$script")/../../.." && pwd)
    audioinv=$repository/.venv/bin/audioinv
    [[ -x $audioinv ]] || audioinv=$(command -v audioinv) || audioinv=audioinv
    [[ $audioinv == */* || $dry_run == true ]] ||
        die "there is no audioinv command; run 'make demo' or 'pip install -e .' in $repository"
}

choose_gpus() {  # the first --ngpu of the GPUs that CUDA_VISIBLE_DEVICES allows
    (( ngpu > 0 )) || { gpus=(""); return 0; }
    IFS=, read -r -a gpus <<<"${CUDA_VISIBLE_DEVICES-$(seq -s, 0 $((ngpu - 1)))}"
    (( ${#gpus[@]} >= ngpu )) ||
        die "--ngpu is $ngpu but CUDA_VISIBLE_DEVICES is '$CUDA_VISIBLE_DEVICES'; name as many GPUs or lower --ngpu"
    gpus=("${gpus[@]:0:ngpu}")
}

stage_number() {  # stage_number OPTION STAGE: prints the number of a stage given by number or name
    local i
    for i in "${!stages[@]}"; do
        if [[ $2 == "$((i + 1))" || $2 == "${stages[i]}" ]]; then
            echo "$((i + 1))"
            return
        fi
    done
    die "--$1: there is no stage '$2'; give 1 to ${#stages[@]} or one of ${stages[*]}"
}

# --------------------------------------------------------------------------------------- commands

quoted() { local line; printf -v line '%q ' "$@"; printf '%s\n' "${line% }"; }

run() {  # run COMMAND...: runs it, or prints it in a dry run
    if [[ $dry_run == true ]]; then quoted "$@"; else "$@"; fi
}

words() {  # words ARRAY TEXT: splits TEXT at white space into ARRAY
    IFS=$' \t\n' read -r -d '' -a "$1" <<<"$2" || true
}

override() {  # override KEY VALUE: a Hydra override, quoted by Hydra's grammar where it has to be
    local value=$2
    [[ $value =~ ^[A-Za-z0-9_./:-]+$ ]] || value="'${value//\'/\\\'}'"
    printf '%s=%s' "$1" "$value"
}

hydra_command() {  # hydra_command SUBCOMMAND [OVERRIDE...]: sets the array `command`
    local more
    words more "$audioinv_opts"
    command=("$audioinv" "$1" --config_dir conf "$(override experiment "$config")" "$(override pack "packs/$corpus")"
        "$(override statistics "$expdir/statistics.json")" "${@:2}" "${more[@]}")
}

# ---------------------------------------------------------------------- several runs at once

start_run() {  # start_run NAME COMMAND...: in the background, in a process group of its own, output to its log
    local file=$expdir/log/$1.log
    log "$1: started; its log is $file"
    { printf '# '; quoted "${@:2}"; } >>"$file"
    set -m
    "${@:2}" >>"$file" 2>&1 </dev/null &
    set +m
    running[$!]=$1
}

finish_run() {  # finish_run PID: says how the run ended; a failed one ends the driver
    local name=${running[$1]} status=0
    wait "$1" || status=$?
    unset "running[$1]"
    if (( status == 0 )); then
        log "$name: finished: $(tail -n 1 -- "$expdir/log/$name.log")"
        return
    fi
    log "$name: failed with exit status $status; the end of $expdir/log/$name.log:"
    tail -n 20 -- "$expdir/log/$name.log" >&2
    exit "$status"
}

wait_for_fewer_than() {  # wait_for_fewer_than N: returns once fewer than N runs are going on
    local pid
    while (( ${#running[@]} >= $1 )); do
        for pid in "${!running[@]}"; do
            kill -0 "$pid" 2>/dev/null || finish_run "$pid"
        done
        (( ${#running[@]} < $1 )) || sleep 0.1
    done
}

on_exit() {  # ends what still runs, so that nothing outlives the driver
    local status=$? pid
    for pid in "${!running[@]}"; do kill -TERM -- "-$pid" 2>/dev/null || true; done
    for pid in "${!running[@]}"; do wait "$pid" 2>/dev/null || true; done
    (( status == 0 )) || [[ -z $current_stage ]] || log "stopped in stage $current_stage (exit status $status)"
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
            if [[ $dry_run == true ]]; then
                run "${command[@]}"
            else
                wait_for_fewer_than "$jobs"
                start_run "${kind}_${method}_s$seed" "${command[@]}"
            fi
        done
    done
    wait_for_fewer_than 1
}

# ----------------------------------------------------------------------------------------- stages

stage_prepare() {
    local options more folder=data/$corpus
    words options "$prepare_opts"
    words more "$download_opts"
    local command=("$audioinv" prepare "$corpus" --root "$data_root" --out "$folder" "${options[@]}")
    local download_command=("$audioinv" download "$corpus" --root "$data_root" "${more[@]}")
    if [[ $dry_run == true ]]; then
        [[ $download == false ]] || run "${download_command[@]}"
        run "${command[@]}"
        return
    fi
    if [[ -f $folder/manifest.csv && -f $folder/.prepared && $(<"$folder/.prepared") == "$(quoted "${command[@]:1}")" ]]; then
        log "already done: $folder/manifest.csv"
        return
    fi
    [[ $download == false ]] || "${download_command[@]}"
    "${command[@]}"
    quoted "${command[@]:1}" >"$folder/.prepared"
}

stage_pack() {
    local folder=data/$corpus
    if [[ $dry_run == false && $folder/.validated -nt $folder/manifest.csv ]]; then
        log "already validated: $folder/manifest.csv"
    else
        run "$audioinv" validate "$folder/manifest.csv" --nj "$nj"
        [[ $dry_run == true ]] || touch "$folder/.validated"
    fi
    run "$audioinv" pack "$folder/manifest.csv" --out "packs/$corpus" --sample_rate "$sample_rate" --nj "$nj"
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
    local made_by="recipes/${corpus_folder##*/}/${recipe##*/}/run.sh --config $config --seeds '$seeds'"
    run "$audioinv" report "$expdir" --pack "packs/$corpus" --title "${title:-$corpus}" --made_by "$made_by" ${results:+--results "$results"}
}

main() {
    local first last skipped number name i
    parse_options "$@"
    check_options
    first=$(stage_number stage "$stage")
    last=$(stage_number stop_stage "$stop_stage")
    (( first <= last )) || die "--stage $stage comes after --stop_stage $stop_stage"
    words skipped "$skip_stages"
    for i in "${!skipped[@]}"; do skipped[i]=$(stage_number skip_stages "${skipped[i]}"); done
    resolve_paths
    choose_gpus
    [[ $dry_run == false ]] || quoted cd "$recipe"
    run export OMP_NUM_THREADS="$threads" CUDA_VISIBLE_DEVICES="${gpus[0]}"
    for (( number = first; number <= last; number++ )); do
        name=${stages[number - 1]}
        if [[ " ${skipped[*]} " == *" $number "* ]]; then
            log "stage $number ($name): left out"
            continue
        fi
        current_stage="$number ($name)"
        log "stage $current_stage"
        "stage_$name"
    done
    log "done: $expdir"
}

(( BASH_VERSINFO[0] >= 5 )) || die "needs bash 5 or newer; this is $BASH_VERSION"
trap on_exit EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
main "$@"
