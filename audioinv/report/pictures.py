"""From an experiment to the pictures of its page: an image, and the same in words."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from audioinv.report import figures
from audioinv.report.collect import MEDIA_TYPES, Example, Experiment, unique
from audioinv.report.curves import Line, lines, protocols_with_curves
from audioinv.report.figures import words
from audioinv.report.names import METRIC_NAMES, method_name, scale, show
from audioinv.tasks import modes
from audioinv.tasks.result import Measurement, Result

K = TypeVar("K")

EPISODES = "fewshot"  # protocols of few-shot episodes begin so


@dataclass(frozen=True)
class Picture:
    """An image as a data URI, what it says in words, and what stands above it."""

    uri: str
    alt: str
    title: str = ""


@dataclass(frozen=True)
class MeasurementPictures:
    """What one method's runs measured, averaged over seeds; None where a file has no such part."""

    method: str
    n_clips: int | None
    n_seeds: int
    dots: Picture | None
    matrix: Picture | None
    read: Picture | None


HeatMap = Callable[[Sequence[str], Sequence[str], NDArray[Any], NDArray[Any]], Figure]
ValuesOf = Callable[[Result], dict[str, float] | None]


@dataclass(frozen=True)
class Clip:
    """One side of an example: what of it is to be seen, and URIs of what is to be heard."""

    side: str
    pictures: list[Picture]
    sounds: list[str]


def descriptor_pictures(results: Sequence[Result]) -> list[Picture]:
    """One heat map per row whose descriptor was learned, mean and spread over seeds."""
    learned = [r for r in results if modes.is_learnt(r.mode) and r.descriptor]
    learned.sort(key=lambda r: (r.protocol.startswith(EPISODES), modes.order(r.mode)))
    draw = figures.descriptor_heat_map
    return _by_row(learned, "Learned descriptor", draw, lambda r: r.descriptor)


def depth_pictures(results: Sequence[Result]) -> list[Picture]:
    """One heat map per row whose tasks chose among levels, mean and spread over seeds."""
    deep = [r for r in results if r.depth and not r.protocol.startswith(EPISODES)]
    return _by_row(deep, "Weights of the levels", figures.depth_heat_map, lambda r: r.depth)


def measurement_pictures(experiment: Experiment) -> list[MeasurementPictures]:
    """Per method that was measured: on, off and gap, and the matrix; on common scales."""
    by_method = {
        method: [r.measurement for r in experiment.runs if r.method == method and r.measurement]
        for method in experiment.methods
    }
    every = [measured for several in by_method.values() for measured in several]
    low_dots = _low([c for m in every for c in (*m.on.values(), *m.off.values())])
    low_matrix = _low([c for m in every for c in m.cosines.values()])
    return [
        MeasurementPictures(
            method,
            several[0].n_clips,
            len(several),
            _dots(method, several, low_dots),
            _matrix(method, several, low_matrix),
            _read(method, several),
        )
        for method, several in by_method.items()
        if several
    ]


def loss_picture(experiment: Experiment) -> Picture | None:
    """The loss curves of all runs; None if none was logged."""
    curves = {
        method_name(method): [
            run.loss for run in experiment.runs if run.method == method and run.loss
        ]
        for method in experiment.methods
    }
    curves = {name: several for name, several in curves.items() if several}
    if not curves:
        return None
    last = {name: np.mean([curve[-1][1] for curve in c]) for name, c in curves.items()}
    said = ", ".join(f"{name} {loss:.3g}" for name, loss in last.items())
    uri = figures.data_uri(figures.loss_curves(curves))
    return Picture(uri, f"Pre-training loss against steps. Last logged loss: {said}.")


def curve_pictures(results: Sequence[Result]) -> list[Picture]:
    """Scores against what a protocol varies: a picture a metric, or a task where several
    augmentations were varied."""
    pictures = []
    for protocol, of_protocol in protocols_with_curves(results).items():
        curves = lines(of_protocol)
        several = len({line.series for line in curves}) > 1
        for key in unique(line.task if several else line.metric for line in curves):
            mine = [line for line in curves if key == (line.task if several else line.metric)]
            title = f"{words(key)}: {protocol}" if several else protocol
            pictures.append(_curve_picture(title, of_protocol[0].x_name, mine, several))
    return pictures


def _curve_picture(title: str, x_name: str, curves: Sequence[Line], several: bool) -> Picture:
    panels: dict[str, list[tuple[str, Sequence[float], Any, Any]]] = {}
    factor, _ = scale(curves[0].metric)
    said = []
    for line in curves:
        panel = line.series if several else line.task
        point = (line.label, line.x, factor * line.mean, factor * line.spread)
        panels.setdefault(panel, []).append(point)
        ends = f"{show(line.mean[0], line.metric)} to {show(line.mean[-1], line.metric)}"
        said.append(f"{words(panel)}, {line.label}: {ends}")
    metric = METRIC_NAMES.get(curves[0].metric, curves[0].metric)
    figure = figures.score_curves(panels, x_name, metric)
    alt = f"{metric} against {x_name}. {'; '.join(said)}."
    return Picture(figures.data_uri(figure), alt, title)


def clips(example: Example) -> list[Clip]:
    """The two sides of an example."""
    return [_clip(example, "before", example.before), _clip(example, "after", example.after)]


def _learner(result: Result) -> str:
    """The row's label, of episodes without the readout, which has no part in the descriptor."""
    if not result.protocol.startswith(EPISODES):
        return result.label
    return f"{result.label.rpartition(', ')[0] or result.label}, few-shot"


def _by_row(
    results: Sequence[Result], what: str, draw: HeatMap, values_of: ValuesOf
) -> list[Picture]:
    """A heat map of named values for each row of the table: tasks by names."""
    rows = unique((r.method, _learner(r)) for r in results)
    return [
        _heat_map_of(
            row[1], [r for r in results if (r.method, _learner(r)) == row], what, draw, values_of
        )
        for row in rows
    ]


def _heat_map_of(
    label: str, results: Sequence[Result], what: str, draw: HeatMap, values_of: ValuesOf
) -> Picture:
    # Several protocols and readouts judge what was learnt once: a seed counts once.
    results = list({(r.task, r.seed): r for r in results}.values())
    tasks = sorted({r.task for r in results})
    names = unique(name for r in results for name in values_of(r) or ())
    values = _gather(
        [{(r.task, name): v for name, v in (values_of(r) or {}).items()} for r in results]
    )
    several = {key: v for key, v in values.items() if len(v) > 1}
    mean = _grid(tasks, names, {key: np.mean(v) for key, v in values.items()})
    spread = _grid(tasks, names, {key: np.std(v, ddof=1) for key, v in several.items()})
    return Picture(
        figures.data_uri(draw(tasks, names, mean, spread)),
        f"{what} of {label}. {_say(tasks, names, mean)}",
        label,
    )


def _low(cosines: Sequence[float]) -> float:
    """The tenth below the lowest cosine: where the axis, or the colours, of all methods begin."""
    return min(0.9, math.floor(min(cosines, default=0.0) * 10) / 10)


def _dots(method: str, several: Sequence[Measurement], low: float) -> Picture | None:
    on = _gather([m.on for m in several])
    off = _gather([m.off for m in several])
    gap = _gather([m.gap for m in several])
    names = unique(name for m in several for name in m.names if name in on or name in off)
    if not names:
        return None
    said = ", ".join(f"{words(name)} {np.mean(gap[name]):+.2f}" for name in names if name in gap)
    return Picture(
        figures.data_uri(figures.invariance_dots(names, on, off, (low, 1.02))),
        f"Measured invariance of {method_name(method)}. "
        f"Cosine with the component on minus off: {said or 'not recorded'}.",
    )


def _read(method: str, several: Sequence[Measurement]) -> Picture | None:
    on, off = _gather([m.read_on for m in several]), _gather([m.read_off for m in several])
    names = unique(name for m in several for name in m.names if name in on and name in off)
    if not names:
        return None
    said = ", ".join(f"{words(k)} {np.mean(on[k]):.2f}, {np.mean(off[k]):.2f}" for k in names)
    return Picture(
        figures.data_uri(figures.invariance_dots(names, on, off, (-0.02, 1.02), "R²")),
        f"R² of the parameters read from {method_name(method)}, component on and off: {said}.",
        method_name(method),
    )


def _matrix(method: str, several: Sequence[Measurement], low: float) -> Picture | None:
    rows = unique(row for m in several for row in m.rows)
    columns = unique(column for m in several for column in m.columns)
    if not rows or not columns:
        return None
    values = _gather([m.cosines for m in several])
    cosine = _grid(rows, columns, {key: np.mean(v) for key, v in values.items()})
    return Picture(
        figures.data_uri(figures.cosine_heat_map(rows, columns, cosine, low)),
        f"Cosine of {method_name(method)} by descriptor. {_say(rows, columns, cosine)}",
        method_name(method),
    )


def _clip(example: Example, side: str, paths: Sequence[Path]) -> Clip:
    """The files of one side, embedded by their types."""
    uris: dict[str, list[str]] = {"image": [], "audio": []}
    for path in paths:
        kind = MEDIA_TYPES[path.suffix.lower()]
        content = base64.b64encode(path.read_bytes()).decode()
        uris[kind.partition("/")[0]].append(f"data:{kind};base64,{content}")
    said = f"{example.shown} {side} {words(example.augmentation)}"
    return Clip(side, [Picture(uri, said) for uri in uris["image"]], uris["audio"])


def _gather(mappings: Sequence[Mapping[K, float]]) -> dict[K, list[float]]:
    """Key -> its values in all the mappings that have it."""
    keys = unique(key for mapping in mappings for key in mapping)
    return {key: [m[key] for m in mappings if key in m] for key in keys}


def _grid(
    rows: Sequence[str], columns: Sequence[str], values: Mapping[tuple[str, str], Any]
) -> NDArray[Any]:
    """The values as an array (rows, columns), NaN where there is none."""
    return np.array([[values.get((r, c), math.nan) for c in columns] for r in rows], dtype=float)


def _say(rows: Sequence[str], columns: Sequence[str], values: NDArray[Any]) -> str:
    """A grid of values as one sentence per row, for those who cannot see the figure."""
    sentences = []
    for row, line in zip(rows, values, strict=True):
        said = [f"{words(c)} {value:.2f}" for c, value in zip(columns, line, strict=True)]
        sentences.append(f"{words(row)}: {', '.join(said)}.")
    return " ".join(sentences)
