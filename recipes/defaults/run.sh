#!/usr/bin/env bash
# Which settings should be the default? Pre-trains the amortised method of several recipes under each of them, scores its
# tasks on validation clips alone, and writes one table of mean ranks.
#   recipes/defaults/run.sh --data DIR      DIR holds fsdd, esc10, gm_notes and cifar10_subset; without it they are downloaded
# Work already done is skipped, so the same command goes on where it stopped.
set -euo pipefail

# --- options: --help and the parser read these lines ---
settings=            # names of those to compare, of settings.txt; empty: all
sets="gm_notes fsdd esc10 demo cifar10"  # recipes whose tasks judge
data=                # folder with the corpora's files; empty: each recipe downloads its own
seeds="0 1 2"        # one run for each set, setting and seed
expdir=exp           # folder of the experiments: expdir/SET/SETTING
results=             # Markdown file for the table; empty: none
jobs=2               # runs that go on at once
threads=1            # CPU threads of each run
dry_run=false        # true: print the commands, ready to paste, and run nothing
audioinv=            # the audioinv command; empty: the one in the repository's .venv, else the one on PATH
# --- end of options ---

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
script=$here/run.sh
# shellcheck disable=SC2034  # functions.sh reads it
declare -a stages=()
declare -A folder=([cifar10]=cifar10_subset)  # of a set's files, where it is not called as the recipe
# shellcheck source=../TEMPLATE/ssl1/functions.sh
source "$here/../TEMPLATE/ssl1/functions.sh"

overrides_of() { sed -n "s/^$1: //p" "$here/settings.txt"; }

compare() {
    local all_sets all_settings set name own
    words all_sets "$sets"
    words all_settings "${settings:-$(sed -n 's/^\([a-z_0-9]*\): .*/\1/p' "$here/settings.txt" | tr '\n' ' ')}"
    for name in "${all_settings[@]}"; do
        [[ -n $(overrides_of "$name") ]] || die "--settings names '$name', which is not in settings.txt"
    done
    for set in "${all_sets[@]}"; do
        [[ -x $here/../$set/ssl1/run.sh ]] || die "--sets names '$set', and there is no recipe of that name"
        own=()
        [[ -z $data || $set == demo ]] || own=(--data_root "$data/${folder[$set]:-$set}")
        for name in "${all_settings[@]}"; do
            "$here/../$set/ssl1/run.sh" "${own[@]}" --expdir "$expdir/$set/$name" --methods amortised --seeds "$seeds" \
                --stop_stage evaluate --jobs "$jobs" --threads "$threads" --dry_run "$dry_run" --audioinv "$audioinv" \
                --audioinv_opts "$(overrides_of "$name") score_on=valid features.layers=depth adapt.modes=[soft]"
        done
    done
}

parse_options "$@"
check_given sets seeds expdir
check_true_or_false dry_run
for number in jobs threads; do check_number "$number" 1; done
absolute data results
find_audioinv
cd -- "$here"
absolute expdir
compare
[[ $dry_run == true ]] || "${audioinv%audioinv}python" "$here/ranks.py" "$expdir" ${results:+--results "$results"}
