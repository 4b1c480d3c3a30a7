"""Scores against what a protocol varies (encodings averaged, strength), as tables and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audioinv.report.collect import method_order, unique
from audioinv.report.figures import words
from audioinv.report.markdown import escape, markdown_table
from audioinv.report.names import METRIC_NAMES, show
from audioinv.tasks.result import Result


@dataclass(frozen=True)
class Line:
    """One row's curve, over seeds: `values` is (seeds, points), of the seeds with the same x."""

    task: str
    label: str
    series: str
    metric: str
    x: tuple[float, ...]
    values: NDArray[np.float64]

    @property
    def mean(self) -> NDArray[np.float64]:
        """Of every point, over seeds."""
        return self.values.mean(0)

    @property
    def spread(self) -> NDArray[np.float64]:
        """Sample standard deviation over seeds; zeros of one seed."""
        if len(self.values) < 2:
            return np.zeros_like(self.mean)
        return self.values.std(0, ddof=1)


def protocols_with_curves(results: Sequence[Result]) -> dict[str, list[Result]]:
    """Protocol -> its results, of those that have curves, in the order of a table's rows."""
    found: dict[str, list[Result]] = {}
    for result in sorted(results, key=lambda r: (r.task, method_order(r.method))):
        if result.curves:
            found.setdefault(result.protocol, []).append(result)
    return found


def lines(results: Sequence[Result]) -> list[Line]:
    """The curves of one protocol's results, seeds of the same row together."""
    rows = unique((r.task, r.method, r.label, r.metric) for r in results)
    found = []
    for task, method, label, metric in rows:
        same = [r for r in results if (r.task, r.method, r.label) == (task, method, label)]
        curves = [curve for result in same for curve in result.curves]
        for name, x in unique((curve.name, curve.x) for curve in curves):
            values = [c.values for c in curves if (c.name, c.x) == (name, x)]
            found.append(Line(task, label, name, metric, x, np.array(values)))
    return found


def curve_tables(results: Sequence[Result]) -> list[str]:
    """Markdown tables of the curves, one a protocol: a row a task and row, a column a point.

    Where several augmentations were varied, the points are of all together (the last), and a second
    table has each alone at its last point.
    """
    return [
        part
        for protocol, of_protocol in protocols_with_curves(results).items()
        for part in _tables(protocol, of_protocol[0].x_name, lines(of_protocol))
    ]


def _tables(protocol: str, x_name: str, curves: Sequence[Line]) -> list[str]:
    series = unique(line.series for line in curves)
    shown = [line for line in curves if line.series == series[-1]]
    xs = sorted({x for line in shown for x in line.x})
    name = f"{x_name}, {words(series[-1])}" if series[-1] else x_name
    cells = {(_head(c), f"{x:g}"): _point(c, k) for c in shown for k, x in enumerate(c.x)}
    tables = [_table(name, cells, [f"{x:g}" for x in xs], protocol)]
    if len(series) > 1:
        alone = {(_head(c), words(c.series)): _point(c, -1) for c in curves}
        head = f"{x_name} {max(xs):g}, each alone"
        tables.append(_table(head, alone, [words(s) for s in series], protocol))
    return tables


def _table(
    head: str, cells: dict[tuple[str, str], str], columns: Sequence[str], protocol: str
) -> str:
    names = unique(row for row, _ in cells)
    rows = [[name, *(cells.get((name, column), "–") for column in columns)] for name in names]
    shown = markdown_table([head, *columns], rows, len(columns))
    return f"{shown}\n\nProtocol {protocol}; mean ± standard deviation over seeds.\n"


def _head(line: Line) -> str:
    metric = METRIC_NAMES.get(line.metric, line.metric)
    return escape(f"{words(line.task)} ({metric}): {line.label}")


def _point(line: Line, k: int) -> str:
    mean = show(float(line.mean[k]), line.metric)
    several = len(line.values) > 1
    return f"{mean} ± {show(float(line.spread[k]), line.metric)}" if several else mean
