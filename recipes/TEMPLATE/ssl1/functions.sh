#!/usr/bin/env bash
# What the drivers share; a driver sources it once its options stand, and sets `script` and `stages`.
# shellcheck disable=SC2154  # the drivers' options

current_stage=
declare -a running=()     # process id -> name of a run that is going on
declare -a reading=()     # options of the commands that read files; see options_of_reading
declare -a left_out=()    # numbers of the stages to leave out
declare -A default=()     # option -> its value where nobody says otherwise

(( BASH_VERSINFO[0] >= 5 )) || { echo "needs bash 5 or newer; this is $BASH_VERSION" >&2; exit 2; }
trap on_exit EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

log() { printf '[%(%Y-%m-%dT%H:%M:%S)T] %s\n' -1 "$*" >&2; }
die() { log "${script##*/}: $*"; exit 2; }

# --------------------------------------------------------------------------------------------- options

option_lines() { sed -n '/^# --- options/,/^# --- end/ { /^[a-z_]*=/ p }' "$script"; }

show_help() {
    sed -n '2,/^set /{ s/^# \{0,1\}//p }' "$script"
    printf '\nOptions, as --name value or --name=value:\n'
    local line name
    while IFS= read -r line; do
        name=${line%%=*}
        printf '  --%-14s %s%s\n' "$name" "${line#*  # }" "${default[$name]:+ [${default[$name]}]}"
    done < <(option_lines)
}

parse_options() {
    local known name value
    known=$(option_lines | sed 's/=.*//')
    for name in $known; do default[$name]=${!name}; done
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

changed() {  # changed NAME...: prints those that are not at their default, as one would give them
    local name
    for name in "$@"; do
        [[ ${!name} == "${default[$name]}" ]] || printf ' --%s %s' "$name" "${!name@Q}"
    done
}

check_number() {  # check_number NAME LOWEST
    if [[ ! ${!1} =~ ^(0|[1-9][0-9]{0,8})$ ]] || (( ${!1} < $2 )); then
        die "--$1 is '${!1}'; give a whole number, $2 or more"
    fi
}

check_true_or_false() {  # check_true_or_false NAME...
    local name
    for name in "$@"; do
        [[ ${!name} == true || ${!name} == false ]] || die "--$name is '${!name}'; give true or false"
    done
}

check_reading() {
    [[ $on_error == fail || $on_error == skip ]] || die "--on_error is '$on_error'; give fail or skip"
    [[ -z $also_inside || -d $also_inside ]] || die "--also_inside is '$also_inside', which is not a folder"
}

options_of_reading() {  # sets reading, what --on_error and --also_inside say to prepare, validate and pack
    [[ $on_error == fail ]] || reading+=(--on_error "$on_error")
    [[ -z $also_inside ]] || reading+=(--also_inside "$also_inside")
}

check_seeds() {
    local all seed
    words all "$seeds"
    for seed in "${all[@]}"; do
        [[ $seed =~ ^(0|[1-9][0-9]{0,8})$ ]] || die "--seeds has '$seed'; give whole numbers, 0 or more, such as '0 1 2'"
    done
}

check_given() {  # check_given NAME...
    local name
    for name in "$@"; do [[ -n ${!name} ]] || die "--$name is empty; see --help"; done
}

absolute() {  # absolute NAME...: makes paths that were given absolute
    local name
    for name in "$@"; do
        [[ -z ${!name} || ${!name} == /* ]] || printf -v "$name" '%s/%s' "$PWD" "${!name}"
    done
}

check_expdir() {
    [[ $expdir != *[\\\$]* ]] || die "--expdir is '$expdir'; Hydra reads \\ and \$ as its own: choose a folder without them"
}

find_audioinv() {  # the command that was given, the repository's, or the one on PATH
    [[ $audioinv != */* || $audioinv == /* ]] || audioinv=$PWD/$audioinv
    [[ -z $audioinv ]] || return 0
    local repository
    repository=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../.." && pwd)
    audioinv=$repository/.venv/bin/audioinv
    [[ -x $audioinv ]] || audioinv=$(command -v audioinv) || audioinv=audioinv
    [[ $audioinv == */* ]] || die "there is no audioinv command; run 'make demo' or 'pip install -e .' in $repository"
}

ask_of_size() {  # sets of_size: what --modality calls the size of its packs, as 'audioinv modalities' lists it
    local name option rest known=()
    of_size=
    while IFS=$'\t' read -r name option rest; do
        known+=("$name")
        [[ $name != "$modality" ]] || of_size=$option
    done < <("$audioinv" modalities)
    (( ${#known[@]} > 0 )) || die "'$audioinv modalities' lists none: give the audioinv command of this repository by --audioinv"
    [[ -n $of_size ]] || die "--modality is '$modality'; give one of ${known[*]}"
}

# ---------------------------------------------------------------------------------------------- stages

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

choose_stages() {  # sets first_stage, last_stage and left_out, of --stage, --stop_stage and --skip_stages
    local i
    first_stage=$(stage_number stage "$stage")
    last_stage=$(stage_number stop_stage "$stop_stage")
    (( first_stage <= last_stage )) || die "--stage $stage comes after --stop_stage $stop_stage"
    words left_out "$skip_stages"
    for i in "${!left_out[@]}"; do left_out[i]=$(stage_number skip_stages "${left_out[i]}"); done
}

run_stages() {  # calls stage_NAME of every chosen stage
    local number name
    for (( number = first_stage; number <= last_stage; number++ )); do
        name=${stages[number - 1]}
        if [[ " ${left_out[*]} " == *" $number "* ]]; then
            log "stage $number ($name): left out"
            continue
        fi
        current_stage="$number ($name)"
        log "stage $current_stage"
        "stage_$name"
    done
    log "done: $expdir"
}

# -------------------------------------------------------------------------------------------- commands

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

is_prepared() {  # is_prepared FOLDER COMMAND...: whether this very command has written FOLDER's manifest
    [[ $dry_run == false && ( -f $1/manifest.csv || -f $1/manifest.parquet ) && -f $1/.prepared && $(<"$1/.prepared") == "$(quoted "${@:3}")" ]]
}

prepare() {  # prepare FOLDER COMMAND...: runs a command that writes FOLDER's manifest, and remembers it
    run "${@:2}"
    [[ $dry_run == true ]] || quoted "${@:3}" >"$1/.prepared"
}

validate_and_pack() {  # validate_and_pack FOLDER PACK SIZE_OPTION...: such as --sample_rate 8000
    if [[ $dry_run == false && $1/.validated -nt $1/manifest.csv && $1/.validated -nt $1/manifest.parquet ]]; then
        log "already validated: $1"
    else
        run "$audioinv" validate "$1" --nj "$nj" "${reading[@]}"
        [[ $dry_run == true ]] || touch "$1/.validated"
    fi
    run "$audioinv" pack "$1" --out "$2" "${@:3}" --nj "$nj" "${reading[@]}"
}

# -------------------------------------------------------------------------------- several runs at once

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

run_or_start() {  # run_or_start NAME COMMAND...: in a dry run prints it, else starts it once there is room for it
    if [[ $dry_run == true ]]; then
        run "${@:2}"
    else
        wait_for_fewer_than "$jobs"
        start_run "$@"
    fi
}

on_exit() {  # ends what still runs, so that nothing outlives the driver
    local status=$? pid
    for pid in "${!running[@]}"; do kill -TERM -- "-$pid" 2>/dev/null || true; done
    for pid in "${!running[@]}"; do wait "$pid" 2>/dev/null || true; done
    (( status == 0 )) || [[ -z $current_stage ]] || log "stopped in stage $current_stage (exit status $status)"
}
