"""Several experiments in one: ranks over tasks, paired tests between rows, and one tidy table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file
from scipy.stats import rankdata

from audioinv.base.errors import UserError
from audioinv.base.near import meant
from audioinv.report.collect import Experiment, check_distinct, read_experiment, unique
from audioinv.report.names import ERRORS, show
from audioinv.tasks.result import Result

FLIPS, CHUNK = 10000, 100
PUBLISHED_COLUMNS = ("row", "corpus", "task", "protocol", "metric", "value", "source")


def join(expdirs: Sequence[str | Path]) -> Experiment:
    """The experiments as one; a task is called "corpus: task" where there are several corpora.

    Raises:
        UserError: a folder that cannot be read (see `read_experiment`), or two results of one row,
            task and seed, which would be averaged like seeds.
    """
    experiments = [read_experiment(expdir) for expdir in expdirs]
    corpora = unique(r.corpus for e in experiments for r in e.results)
    if len(experiments) == 1 and len(corpora) <= 1:
        return experiments[0]
    runs = [run for experiment in experiments for run in experiment.runs]
    if len(corpora) > 1:
        named = [tuple(_with_corpus(r) for r in run.results) for run in runs]
        runs = [replace(run, results=results) for run, results in zip(runs, named, strict=True)]
    about = {key: _joined(experiments, key) for key in ("title", "hardware", "command")}
    joined = Experiment(experiments[0].path.resolve().parent, tuple(runs), (), about)
    check_distinct(joined.results)
    return joined


def _joined(experiments: Sequence[Experiment], key: str) -> str:
    """What the experiments say of `key`, once each."""
    return "; ".join(unique(str(e.about[key]) for e in experiments if e.about.get(key)))


def _with_corpus(result: Result) -> Result:
    return replace(result, task=f"{result.corpus}: {result.task}")


def tidy(results: Iterable[Result]) -> pd.DataFrame:
    """One line a protocol, task and row: seeds, mean, standard deviation, mean interval."""
    frame = pd.DataFrame([vars(r) for r in results])
    low = [np.nan if i is None else i[0] for i in frame["interval"]]
    high = [np.nan if i is None else i[1] for i in frame["interval"]]
    groups = frame.assign(low=low, high=high).groupby(
        ["protocol", "task", "metric", "method", "label"], sort=False
    )
    return groups.agg(
        seeds=("seed", "nunique"),
        mean=("value", "mean"),
        sd=("value", "std"),
        low=("low", "mean"),
        high=("high", "mean"),
    ).reset_index()


def ranks(table: pd.DataFrame) -> pd.Series:
    """Mean rank of every row, 1 the best, over the tasks that all rows of its protocol have.

    Equal means share the mean of their ranks. A protocol of one row, or with fewer than two such
    tasks, has no ranks.

    Args:
        table: as `tidy` gives it.

    Returns:
        (protocol, label) -> mean rank.
    """
    parts = []
    errors = table["metric"].isin(list(ERRORS))
    table = table.assign(mean=table["mean"].where(~errors, -table["mean"]))
    for protocol, group in table.groupby("protocol", sort=False):
        wide = group.pivot_table(index="label", columns="task", values="mean").dropna(axis=1)
        if min(wide.shape) < 2:
            continue
        order = rankdata(-wide.to_numpy(), axis=0)
        keys = [(str(protocol), str(label)) for label in wide.index]
        parts.append(pd.Series(order.mean(1), pd.MultiIndex.from_tuples(keys)))
    return pd.concat(parts) if parts else pd.Series(dtype="float64")


def paired(first: Sequence[Result], second: Sequence[Result]) -> tuple[float, float, int]:
    """Mean difference of two rows of one task, its p-value, and the clips they share.

    Each clip's score is averaged over seeds; the p-value is that of a sign-flip permutation test
    over clips, two-sided. It says whether the difference would hold for more clips of these
    encoders; how much encoders differ by seed is the table's standard deviation.

    Raises:
        UserError: results without scores by clip, or without a clip in common.
    """
    a, b = _by_clip(first), _by_clip(second)
    common = a.index.intersection(b.index)
    if len(common) == 0:
        raise UserError(f"{first[0].path} and {second[0].path} have no clip in common")
    difference = (a[common] - b[common]).to_numpy()
    observed = abs(difference.mean())
    # scipy's permutation_test gives the same in 37 times the time: it sorts for every flip
    draw, extreme = np.random.default_rng(0), 0
    for _ in range(0, FLIPS, CHUNK):
        kept = draw.integers(0, 2, (CHUNK, len(difference)), dtype=np.int8).astype(np.float64)
        flipped = np.abs(2 * kept @ difference - difference.sum()) / len(difference)
        extreme += int(np.count_nonzero(flipped >= observed - 1e-12))
    p = (1 + extreme) / (1 + FLIPS)
    return float(difference.mean()), float(p), len(difference)


def _by_clip(results: Sequence[Result]) -> pd.Series:
    """Mean score of every clip over seeds."""
    parts = []
    for result in results:
        path = result.path.with_name("per_clip.safetensors")
        try:
            values: dict[str, NDArray[np.float64]] = load_file(path)
            parts.append(pd.Series(values["score"], index=values["clips"]))
        except (OSError, KeyError, SafetensorError) as error:
            raise UserError(f"{path} holds no scores by clip: {error}; evaluate again") from error
    return pd.concat(parts).groupby(level=0).mean()


def comparisons(results: Sequence[Result], against: str) -> pd.DataFrame:
    """Every row against the row called `against`: task, row, difference, p, clips.

    Raises:
        UserError: no row of that name.
    """
    labels = unique(r.label for r in results)
    if against not in labels:
        near = meant(against, labels)
        raise UserError(f"no row is called '{against}'; there are: {'; '.join(labels)}{near}")
    lines = []
    for protocol, task in unique((r.protocol, r.task) for r in results):
        here = [r for r in results if (r.protocol, r.task) == (protocol, task)]
        reference = [r for r in here if r.label == against]
        for label in unique(r.label for r in here if r.label != against):
            if reference:
                difference, p, n = paired([r for r in here if r.label == label], reference)
                lines.append((protocol, task, label, difference, p, n))
    return pd.DataFrame(lines, columns=["protocol", "task", "label", "difference", "p", "clips"])


def published(path: str | Path) -> pd.DataFrame:
    """Rows of other people's papers: row, corpus, task, protocol, metric, value, source.

    Every cell is the text that stands there, so that 63.40 stays 63.40. `protocol` is the id of
    ours that reproduces theirs, or words for one of their own.

    Raises:
        UserError: not such a table, a value that is no number, or few-shot figures of another
            protocol than `fewshot_published`.
    """
    try:
        table = pd.read_csv(path, dtype="str", keep_default_na=False)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    missing = [name for name in PUBLISHED_COLUMNS if name not in table]
    if missing:
        raise UserError(f"{path} lacks the columns {', '.join(missing)}")
    odd = table["value"][pd.to_numeric(table["value"], errors="coerce").isna()]
    if len(odd):
        raise UserError(f"{path}, line {odd.index[0] + 2}: value '{odd.iloc[0]}' is no number")
    few = table["protocol"][table["protocol"].str.contains("-way")]
    other = few[~few.str.fullmatch(r"fewshot_published-v\d+ \d+-way \d+-shot")]
    if len(other):
        raise UserError(
            f"{path}, line {other.index[0] + 2}: protocol '{other.iloc[0]}' is none that published "
            "few-shot figures belong to; give fewshot_published-v1 5-way 1-shot, by which ours can "
            "be compared"
        )
    return table


def beside(results: Sequence[Result], table: pd.DataFrame) -> pd.DataFrame:
    """Published rows of our protocols, each after ours of the same protocol, corpus and task.

    Args:
        table: as `published` gives it.

    Returns:
        protocol, corpus, task, row, source, value; nothing of a task that we have no result of by
        that very protocol. Of ours `source` is "here" and `value` the mean, ± deviation over seeds.
    """
    columns = ["protocol", "corpus", "task", "row", "source", "value"]
    parts = []
    for _, theirs in table.groupby(columns[:3], sort=False):
        protocol, corpus, task = (str(value) for value in theirs[columns[:3]].iloc[0])
        same = [
            r
            for r in results
            if (r.protocol, r.corpus, r.task.removeprefix(f"{corpus}: "))
            == (protocol, corpus, task)
        ]
        if same:
            ours = tidy(same).rename(columns={"label": "row"})
            ours["value"] = [_shown(*row) for row in ours[["mean", "sd", "metric"]].to_numpy()]
            ours = ours.assign(protocol=protocol, corpus=corpus, task=task, source="here")
            parts += [ours[columns], theirs[columns]]
    return pd.concat(parts) if parts else pd.DataFrame(columns=columns)


def of_ours(protocol: str) -> bool:
    """Whether a published row's protocol is the id of one of ours."""
    return re.match(r"\w+-v\d+", protocol) is not None


def _shown(mean: float, deviation: float, metric: str) -> str:
    shown = show(mean, metric)
    return shown if np.isnan(deviation) else f"{shown} ± {show(deviation, metric)}"
