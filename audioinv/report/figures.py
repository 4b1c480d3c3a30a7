"""The figures of a report. Each function returns a matplotlib Figure; `data_uri` makes it an image.

One colour language throughout: blue is invariant (1), orange is sensitive (0); methods have the
colours of Okabe and Ito, which people with any colour vision tell apart.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from audioinv.base.drawing import INK, MUTED, STYLE, svg

INVARIANT, SENSITIVE = "#0b66a8", "#d5620f"
DESCRIPTOR_MAP = LinearSegmentedColormap.from_list("descriptor", [SENSITIVE, "#f5f1ea", INVARIANT])
COSINE_MAP = LinearSegmentedColormap.from_list("cosine", ["#f4f7fa", "#8fbcd8", "#0b4f82"])
METHOD_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555")
METHOD_DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
WIDTH_IN = 4.7
_LONGEST_NAME = 28


def data_uri(figure: Figure) -> str:
    """The figure as an SVG data URI: the same figure gives the same bytes."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg(figure).encode()).decode()


def descriptor_heat_map(
    tasks: Sequence[str], components: Sequence[str], mean: NDArray[Any], spread: NDArray[Any]
) -> Figure:
    """Learned descriptors, (tasks, components) in 0 (sensitive, orange) to 1 (invariant, blue).

    Args:
        mean: over seeds; NaN leaves a cell empty.
        spread: standard deviation over seeds, shown below the mean; NaN shows none.
    """
    return _heat_map(tasks, components, mean, spread, DESCRIPTOR_MAP, (0.0, 1.0))


def depth_heat_map(
    tasks: Sequence[str], levels: Sequence[str], mean: NDArray[Any], spread: NDArray[Any]
) -> Figure:
    """Weights of the levels, (tasks, levels), which sum to 1 over a task's.

    Args:
        mean, spread: as of `descriptor_heat_map`.
    """
    return _heat_map(tasks, levels, mean, spread, COSINE_MAP, (0.0, 1.0))


def cosine_heat_map(
    rows: Sequence[str], columns: Sequence[str], cosine: NDArray[Any], low: float
) -> Figure:
    """Cosines of (descriptors `rows`, augmentations `columns`); colours run from `low` to 1."""
    return _heat_map(rows, columns, cosine, np.full_like(cosine, np.nan), COSINE_MAP, (low, 1.0))


def invariance_dots(
    names: Sequence[str],
    on: Mapping[str, Sequence[float]],
    off: Mapping[str, Sequence[float]],
    limits: tuple[float, float],
    unit: str = "cosine to the clean clip",
) -> Figure:
    """Per augmentation, a value with its component on (circle) and off (square), and the gap.

    Args:
        on, off: augmentation -> one value per seed; an absent one is not drawn.
        limits: of the values' axis, the same for all methods that are compared. unit: its label.
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = _axes(0.27 * len(names) + 0.85)
        for y, name in enumerate(names):
            _dumbbell(axes, y, on.get(name, ()), off.get(name, ()))
        axes.set(xlim=limits, ylim=(len(names) - 0.5, -0.7), xlabel=unit)
        axes.set_yticks(range(len(names)), [_short(name) for name in names])
        axes.grid(axis="y", visible=False)
        axes.text(1.02, 1.0, "gap", transform=axes.transAxes, color=MUTED, ha="left", va="bottom")
        axes.plot([], [], "o", color=INVARIANT, label="component on")
        axes.plot([], [], "s", color=SENSITIVE, label="component off")
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=2, borderpad=0)
    return figure


def loss_curves(curves: Mapping[str, Sequence[Sequence[tuple[int, float]]]]) -> Figure:
    """Smoothed loss against steps: name of a method -> one curve of (step, loss) per seed."""
    with matplotlib.rc_context({**STYLE, "font.size": 9}):
        figure, axes = _axes(3.1, width_in=6.2)
        for index, (method, seeds) in enumerate(curves.items()):
            for number, curve in enumerate(seeds):
                axes.plot(
                    *smooth(curve),
                    color=METHOD_COLOURS[index % len(METHOD_COLOURS)],
                    linestyle=METHOD_DASHES[index % len(METHOD_DASHES)],
                    linewidth=1.3,
                    alpha=0.85,
                    label=None if number else method,
                )
        axes.set(xlabel="step", ylabel="loss")
        axes.margins(x=0.01)
        figure.legend(loc="outside upper left", ncols=3, handlelength=2.6)
    return figure


def score_curves(
    panels: Mapping[str, Sequence[tuple[str, Sequence[float], NDArray[Any], NDArray[Any]]]],
    x_name: str,
    y_name: str,
) -> Figure:
    """Scores against `x_name`, a panel a key: (row, x, mean, spread over seeds) of each line."""
    columns = min(len(panels), 3)
    height = -(-len(panels) // columns)
    rows = unique_names(panels)
    with matplotlib.rc_context(STYLE):
        size = (2.3 * columns + 0.4, 1.7 * height + 0.2 * len(rows) + 0.3)
        figure = Figure(figsize=size, layout="constrained")
        for number, (name, curves) in enumerate(panels.items(), 1):
            axes = figure.add_subplot(height, columns, number)
            axes.set_title(_short(name), fontsize=8.5, loc="left", color=MUTED)
            for row, x, mean, spread in curves:
                index = rows.index(row) % len(METHOD_COLOURS)
                style: Any = {"color": METHOD_COLOURS[index], "linestyle": METHOD_DASHES[index]}
                axes.plot(x, mean, marker="o", markersize=2.5, linewidth=1.2, label=row, **style)
                axes.fill_between(x, mean - spread, mean + spread, alpha=0.15, linewidth=0,
                                  color=METHOD_COLOURS[index])  # fmt: skip
            axes.set_ylabel(y_name if number % columns == 1 or columns == 1 else "")
        figure.supxlabel(x_name, fontsize=8.5, color=MUTED)
        shown = {str(line.get_label()): line for axes in figure.axes for line in axes.lines}
        figure.legend(list(shown.values()), list(shown), loc="outside upper left", handlelength=2.6)
    return figure


def unique_names(panels: Mapping[str, Sequence[tuple[str, Any, Any, Any]]]) -> list[str]:
    """The rows of all panels, in order of first appearance."""
    return list(dict.fromkeys(row for curves in panels.values() for row, *_ in curves))


def smooth(curve: Sequence[tuple[int, float]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Steps and losses averaged over windows of a fortieth of the curve, where they fit whole."""
    steps, losses = np.array(curve, dtype=float).T
    window = max(1, len(steps) // 40)
    weights = np.full(window, 1 / window)
    return np.convolve(steps, weights, "valid"), np.convolve(losses, weights, "valid")


def _axes(height_in: float, width_in: float = WIDTH_IN) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    return figure, figure.add_subplot()


def _short(name: str) -> str:
    """A name that fits beside a figure."""
    name = words(name)
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def words(name: str) -> str:
    """A name as people read it: time_stretch becomes time stretch."""
    return name.replace("_", " ")


def _heat_map(
    rows: Sequence[str],
    columns: Sequence[str],
    values: NDArray[Any],
    spread: NDArray[Any],
    colours: Colormap,
    limits: tuple[float, float],
) -> Figure:
    row_in = 0.30 if np.isnan(spread).all() else 0.40
    with matplotlib.rc_context({**STYLE, "axes.grid": False}):
        names = [_short(name) for name in columns]
        figure, axes = _axes(row_in * len(rows) + 0.25 + 0.05 * max(map(len, names)))
        mesh = axes.pcolormesh(
            np.ma.masked_invalid(values),
            cmap=colours,
            vmin=limits[0],
            vmax=limits[1],
            edgecolors="white",
            linewidth=1.5,
        )
        axes.invert_yaxis()
        axes.spines[:].set_visible(False)
        axes.xaxis.tick_top()
        places = np.arange(len(columns)) + 0.5
        axes.set_xticks(places, names, rotation=35, ha="left", rotation_mode="anchor")
        axes.set_yticks(np.arange(len(rows)) + 0.5, [_short(name) for name in rows])
        for (y, x), value in np.ndenumerate(values):
            _annotate(axes, x, y, float(value), float(spread[y, x]), mesh.to_rgba(value))
    return figure


def _annotate(
    axes: Axes, x: int, y: int, value: float, spread: float, colour: NDArray[Any]
) -> None:
    """The value in its cell, and the spread below it, in black or white after the colour behind."""
    if np.isnan(value):
        axes.text(x + 0.5, y + 0.5, "–", ha="center", va="center", color=MUTED)
        return
    ink = INK if np.dot(colour[:3], (0.299, 0.587, 0.114)) > 0.58 else "white"
    above = 0.0 if np.isnan(spread) else 0.12
    axes.text(x + 0.5, y + 0.5 - above, f"{value:.2f}", ha="center", va="center", color=ink)
    if above:
        label = f"±{spread:.2f}"
        axes.text(x + 0.5, y + 0.78, label, ha="center", va="center", color=ink, fontsize=6.8)


def _dumbbell(axes: Axes, y: int, on: Sequence[float], off: Sequence[float]) -> None:
    for values, marker, colour in ((off, "s", SENSITIVE), (on, "o", INVARIANT)):
        axes.plot(values, [y] * len(values), marker, color=colour, alpha=0.45, markersize=3, mew=0)
        if values:
            axes.plot(np.mean(values), y, marker, color=colour, markersize=6, mew=0, zorder=3)
    if on and off:
        ends = np.mean(on), np.mean(off)
        axes.plot(ends, (y, y), color="#b8bfca", linewidth=1.6, zorder=1)
        gap = f"{round(ends[0] - ends[1], 2) + 0.0:+.2f}".replace("-", "\N{MINUS SIGN}")
        place = axes.get_yaxis_transform()
        axes.text(1.02, y, gap, transform=place, ha="left", va="center")
