"""Learnt descriptors and measured invariance as Markdown, means and deviations over seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from audioinv.report.collect import Experiment, unique
from audioinv.report.figures import words
from audioinv.report.markdown import escape, markdown_table
from audioinv.report.names import method_name
from audioinv.tasks.modes import is_learnt
from audioinv.tasks.result import Measurement, Result

LINEAR = ("linear-v1", "regression-v1")


def descriptor_table(experiment: Experiment) -> str:
    """What tasks learnt: a row a task and mode, a column a component; "" if nothing was learnt."""
    learned = [r for r in experiment.results if is_learnt(r.mode) and r.descriptor]
    shown = _table([r for r in learned if r.protocol in LINEAR], "descriptor", "learnt descriptor")
    told = "1: invariant, 0: sensitive; mean ± standard deviation over seeds."
    return f"{shown}\n\n{told}\n" if shown else ""


def depth_table(experiment: Experiment) -> str:
    """Where tasks looked: a row a task and mode, a column a level; "" if none chose."""
    deep = [r for r in experiment.results if r.depth and r.protocol in LINEAR]
    shown = _table(deep, "depth", "weights of the levels")
    told = "Level 0 is the front end's rows, the last one the last layer; mean ± standard deviation"
    return f"{shown}\n\n{told} over seeds.\n" if shown else ""


def _table(results: Sequence[Result], field: str, head: str) -> str:
    names = unique(name for r in results for name in getattr(r, field) or ())
    rows = []
    several = len({r.method for r in results}) > 1
    for method, task, mode in unique((r.method, r.task, r.mode) for r in results):
        same = [r for r in results if (r.method, r.task, r.mode) == (method, task, mode)]
        found = [getattr(r, field) or {} for r in same]
        values = [[d[name] for d in found if name in d] for name in names]
        of = f"{method_name(method)}: " if several else ""
        label = escape(f"{of}{words(task)}, {mode}")
        rows.append([label, *(_spread(v, 2) for v in values)])
    return markdown_table([head, *map(words, names)], rows, len(names)) if rows else ""


def invariance_table(experiment: Experiment) -> str:
    """Cosine of a clip and its augmented self, on, off and gap; "" if nothing was measured."""
    shown = _measured(experiment, "measured invariance", ("on", "off", "gap"), 3)
    if not shown:
        return ""
    measured = [run.measurement for run in experiment.runs if run.measurement]
    clips = ", ".join(map(str, unique(m.n_clips for m in measured)))
    return (
        f"{shown}\n\nCosine of centred features between a clip and its augmented self, {clips} "
        "test clips; off flips that component from all-on; mean ± standard deviation over seeds.\n"
    )


def worth_table(experiment: Experiment) -> str:
    """R^2 of the parameters of each component, on and off; "" if they were not read."""
    shown = _measured(experiment, "parameters read (R²)", ("read_on", "read_off"), 2)
    told = "Clips changed once by what a component governs: how well a linear readout of the last"
    return (
        f"{shown}\n\n{told} layer tells by how much. 0: no better than the mean.\n" if shown else ""
    )


def _measured(experiment: Experiment, head: str, kinds: Sequence[str], decimals: int) -> str:
    """A row a component, and of each method a column a kind; the first alone where it has one
    network for all descriptors."""
    measured: dict[str, list[Measurement]] = {}
    for run in experiment.runs:
        if run.measurement and getattr(run.measurement, kinds[0]):
            measured.setdefault(run.method, []).append(run.measurement)
    heads, columns = [], []
    for method, several in measured.items():
        moves = any(abs(gap) > 1e-6 for m in several for gap in m.gap.values())
        for kind in kinds if moves else kinds[:1]:
            said = f", {kind.removeprefix('read_')}" if moves else ""
            heads.append(f"{method_name(method)}{said}")
            columns.append([getattr(m, kind) for m in several])
    names = unique(name for several in measured.values() for m in several for name in m.names)
    rows = []
    for name in names:
        cells = [[values[name] for values in column if name in values] for column in columns]
        rows.append([words(name), *(_spread(cell, decimals) for cell in cells)])
    return markdown_table([head, *heads], rows, len(heads)) if rows else ""


def _spread(values: Sequence[float], decimals: int) -> str:
    if not values:
        return ""  # a component of another method's bank
    shown = f"{np.mean(values):.{decimals}f}"
    if len(values) > 1:
        shown += f" ± {np.std(values, ddof=1):.{decimals}f}"
    return shown.replace("-", "\N{MINUS SIGN}")
