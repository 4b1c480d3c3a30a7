"""The table of a comparison: rows are encoders, columns are tasks, one table for so many labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.stats import t

from audioinv.report.collect import method_order, unique
from audioinv.report.names import ERRORS, METRIC_NAMES, show
from audioinv.report.tables import Sheet
from audioinv.tasks.result import Result

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def sheets_of_comparison(results: Sequence[Result]) -> list[Sheet]:
    """A table for each number of labels, the fewest first."""
    told = unique(result.protocol.partition(", ")[2] for result in results)
    told.sort(key=_few_first)
    return [_sheet(labels, [r for r in results if r.protocol.endswith(labels)]) for labels in told]


def _few_first(labels: str) -> float:
    number = labels.partition(" ")[0]
    return float(number) if number.isdecimal() else np.inf


def _sheet(labels: str, results: list[Result]) -> Sheet:
    tasks = unique(r.task for r in results)
    keys = unique((r.method, r.label) for r in results)
    keys.sort(key=lambda key: method_order(key[0]))
    of = {key: [r for r in results if (r.method, r.label) == key] for key in keys}
    means = {task: [_mean(of[key], task) for key in keys] for task in tasks}
    sizes = marked([_sizes(of[key]) for key in keys])
    rows = [
        [label, size, *(_cell(_on(rows, task), _best(means[task], rows)) for task in tasks)]
        for (_, label), size, rows in zip(keys, sizes, of.values(), strict=True)
    ]
    chance = [_chance([r for r in results if r.task == task]) for task in tasks]
    heads = [f"{task} ({_metric(results, task)})" for task in tasks]
    head, last = ["", "features", *heads], ["chance", "", *chance]
    return Sheet(labels[:1].upper() + labels[1:], head, [*rows, last], len(tasks) + 1, _note(of))


def marked(sizes: Sequence[str]) -> list[str]:
    """The sizes of features, those that several rows have with a letter each: "256 a"."""
    counted = [size for size, n in Counter(sizes).items() if n > 1 and "–" not in size]
    letters = {size: LETTERS[k % len(LETTERS)] for k, size in enumerate(counted)}
    return [f"{size} {letters[size]}" if size in letters else size for size in sizes]


def interval_of_draws(values: Sequence[float]) -> tuple[float, float]:
    """95% interval of the mean over two draws or more, by Student's t."""
    half = t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return float(np.mean(values) - half), float(np.mean(values) + half)


def _on(rows: list[Result], task: str) -> list[Result]:
    return [r for r in rows if r.task == task]


def _mean(rows: list[Result], task: str) -> float:
    values = [r.value for r in _on(rows, task)]
    return float(np.mean(values)) if values else np.nan


def _best(means: list[float], rows: list[Result]) -> float:
    known = [mean for mean in means if not np.isnan(mean)]
    return min(known) if rows[0].metric in ERRORS else max(known)


def _cell(rows: list[Result], best: float) -> str:
    if not rows:
        return "–"
    metric, values = rows[0].metric, [r.value for r in rows]
    mean = show(float(np.mean(values)), metric)
    limits = interval_of_draws(values) if len(values) > 1 else rows[0].interval
    mark = "*" if mean == show(best, metric) else ""
    if limits is None:
        return f"{mean}{mark}"
    return f"{mean}{mark} [{show(limits[0], metric)}, {show(limits[1], metric)}]"


def _sizes(rows: list[Result]) -> str:
    """How many features the readouts read: one number, or the least and the most."""
    known = sorted(r.n_features for r in rows if r.n_features is not None)
    return "–".join(unique([str(known[0]), str(known[-1])])) if known else "not told"


def _chance(rows: list[Result]) -> str:
    known = [r.chance for r in rows if r.chance is not None]
    return show(float(np.mean(known)), rows[0].metric) if known else "–"


def _metric(results: list[Result], task: str) -> str:
    metric = _on(results, task)[0].metric
    return METRIC_NAMES.get(metric, f"{metric}, %")


def _note(of: dict[tuple[str, str], list[Result]]) -> str:
    draws = sorted({r.seed for rows in of.values() for r in rows})
    over = (
        f"Mean and 95% interval (Student's t) over {len(draws)} draws of the labels"
        if len(draws) > 1
        else "One fit on all labels, with the 95% interval over test clips"
    )
    return (
        f"{over}. A star: the best of its column. Every row has the same labels, folds, readout "
        "and tuning. Features are those that the readout reads, from least to most where tasks "
        "choose; rows of equal size have the same letter."
    )
