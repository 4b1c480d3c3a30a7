"""One table over EXPDIR/SET/SETTING: mean scores of each setting's tasks, and its mean rank."""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from audioinv.base.errors import UserError
from audioinv.report.collect import read_experiment
from audioinv.report.markdown import markdown_table
from audioinv.report.measured import LINEAR
from audioinv.report.names import ERRORS
from audioinv.tasks.result import Result

Scores = dict[tuple[str, str, int], dict[str, float]]
"""Set, task and seed -> setting -> score."""


def scores(expdir: Path) -> Scores:
    """The linear scores under a folder of experiments; only what every setting has is compared.

    Raises:
        UserError: there is nothing that all settings have.
    """
    found: Scores = defaultdict(dict)
    folders = sorted(path for path in expdir.glob("*/*") if any(path.glob("*_s*")))
    settings = {path.name for path in folders}
    for path in folders:
        for result in read_experiment(path).results:
            if result.protocol in LINEAR:
                found[path.parent.name, result.task, result.seed][path.name] = value(result)
    whole = {key: by for key, by in found.items() if by.keys() == settings}
    if not whole:
        raise UserError(f"{expdir} has no task that all of {sorted(settings)} were scored on")
    return whole


def value(result: Result) -> float:
    """A score of which more is better."""
    return -result.value if result.metric in ERRORS else result.value


def table(compared: Scores) -> str:
    """A row a setting, the best mean rank first; a column a task, in hundredths."""
    settings = sorted({name for by in compared.values() for name in by})
    ranks = {name: [] for name in settings}  # type: dict[str, list[float]]
    for by in compared.values():
        for name, rank in zip(settings, rankdata([-by[n] for n in settings]), strict=True):
            ranks[name].append(float(rank))
    columns = sorted({key[:2] for key in compared})
    rows = []
    for name in sorted(settings, key=lambda n: float(np.mean(ranks[n]))):
        cells = [[by[name] for key, by in compared.items() if key[:2] == c] for c in columns]
        shown = [f"{100 * np.mean(cell):.1f} ± {100 * np.std(cell):.1f}" for cell in cells]
        rows.append([name, f"{np.mean(ranks[name]):.2f}", *shown])
    heads = ["setting", "mean rank", *(f"{of}: {task}" for of, task in columns)]
    seeds = sorted({seed for _, _, seed in compared})
    told = f"Validation clips, hundredths of accuracy or R^2; seeds {', '.join(map(str, seeds))}."
    return f"{markdown_table(heads, rows, len(heads) - 1)}\n\n{told}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("expdir", type=Path)
    parser.add_argument("--results", type=Path, help="Markdown file for the table")
    words = parser.parse_args()
    try:
        made = table(scores(words.expdir))
    except UserError as error:
        parser.error(str(error))
    print(made)
    if words.results:
        words.results.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
