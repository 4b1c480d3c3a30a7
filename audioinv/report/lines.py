"""Line charts as small SVG drawings: drawn in a millisecond, in the colours of the page.

(Pages that are made once take matplotlib's; one that is made anew every few seconds, on a machine
that trains, must cost nothing.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 360, 190
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 8, 24  # margins
MOST_POINTS = 300
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """A line of a chart: its name, the SVG points, the last of them, and its last value."""

    name: str
    points: str
    end: tuple[float, float]
    last: float


@dataclass(frozen=True)
class Chart:
    """A chart: `ticks` of both axes are (place, text); `level` is the place of a dashed line."""

    title: str
    note: str
    lines: Sequence[Line]
    x_ticks: Sequence[tuple[float, str]]
    y_ticks: Sequence[tuple[float, str]]
    level: float | None = None
    level_name: str = ""

    @property
    def said(self) -> str:
        """The chart in words."""
        told = ", ".join(f"{line.name} {line.last:.3g}" for line in self.lines)
        return f"{self.title} against steps; last: {told}"


def chart(
    title: str,
    note: str,
    lines: Mapping[str, Points],
    level: tuple[str, float] | None = None,
) -> Chart | None:
    """The chart of named lines of (step, value) in the order of steps; None where there is none.

    Args:
        level: name and value of a dashed line across.
    """
    known = {name: _fewer(points) for name, points in lines.items() if points}
    if not known:
        return None
    xs = [x for points in known.values() for x, _ in points]
    ys = [y for points in known.values() for _, y in points] + ([level[1]] if level else [])
    x_of = _Scale(0.0, max(max(xs), 1.0), LEFT, WIDTH - RIGHT)
    low, high, step = _round(min(ys), max(ys))
    y_of = _Scale(low, high, HEIGHT - BOTTOM, TOP)
    drawn = [_line(name, [(x_of(x), y_of(y)) for x, y in points], points[-1][1])
             for name, points in known.items()]  # fmt: skip
    count = round((high - low) / step)
    heights = [low + k * step for k in range(count + 1)]
    ends = (0.0, max(max(xs), 1.0))
    return Chart(
        title,
        note,
        drawn,
        [(x_of(x), f"{x:g}") for x in ends],
        [(y_of(y), _text(y, step)) for y in heights],
        y_of(level[1]) if level else None,
        level[0] if level else "",
    )


def _line(name: str, places: Points, last: float) -> Line:
    text = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    x, y = places[-1]
    return Line(name, text, (round(x, 1), round(y, 1)), last)


def smoothed(points: Points, window: int) -> Points:
    """The mean of each `window` points, the first of them fewer, at the step of the last."""
    found = []
    for k, (x, _) in enumerate(points):
        values = [y for _, y in points[max(0, k + 1 - window) : k + 1]]
        found.append((x, sum(values) / len(values)))
    return found


def _fewer(points: Points) -> Points:
    """At most `MOST_POINTS` of them, the last among them."""
    every = math.ceil(len(points) / MOST_POINTS)
    return [p for k, p in enumerate(points) if (len(points) - 1 - k) % every == 0]


class _Scale:
    """Values from `low` to `high` -> places from `first` to `last`."""

    def __init__(self, low: float, high: float, first: float, last: float) -> None:
        self.low, self.first = low, first
        self.factor = (last - first) / (high - low)

    def __call__(self, value: float) -> float:
        return self.first + (value - self.low) * self.factor


def _round(low: float, high: float) -> tuple[float, float, float]:
    """Round ends around `low` and `high`, and a round step that leads from one to the other."""
    span = high - low or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / 4))
    step = next(power * k for k in (1, 2, 5, 10) if span / (power * k) <= 5)
    first, last = math.floor(low / step), math.ceil(high / step)
    return first * step, max(last, first + 1) * step, step


def _text(value: float, step: float) -> str:
    if step < 1e-3:
        return f"{value:.1e}" if abs(value) > step / 2 else "0"
    digits = max(0, -math.floor(math.log10(step)))
    return f"{value + 0.0:.{digits}f}".replace("-", "\N{MINUS SIGN}")
