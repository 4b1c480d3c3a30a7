"""The main table, tasks by rows, as values and as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audioinv.base.errors import UserError
from audioinv.base.files import write_text
from audioinv.report.collect import Experiment, method_order, read_experiment, unique
from audioinv.report.curves import curve_tables
from audioinv.report.markdown import code, escape, markdown_table
from audioinv.report.measured import (
    LINEAR,
    depth_table,
    descriptor_table,
    invariance_table,
    worth_table,
)
from audioinv.report.names import ERRORS, METRIC_NAMES, SCEPTICS, show
from audioinv.tasks.result import Result

BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


@dataclass(frozen=True)
class Cell:
    """One row on one task, in the metric's display unit (see `scale`).

    `spread` is the sample standard deviation (n - 1) over seeds, None for a single seed, whose
    95% `interval` stands instead.
    """

    mean: str
    spread: str | None
    interval: tuple[str, str] | None
    n: int
    best: bool


@dataclass(frozen=True)
class Row:
    """One row: its cells in the order of the table's tasks, None where it was not evaluated."""

    label: str
    method: str
    seeds: tuple[int, ...]
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True)
class Column:
    """One task: what is measured, what guessing gives and on how many clips."""

    task: str
    metric: str
    chance: str
    n_test: str


@dataclass(frozen=True)
class Table:
    """`groups` holds the pre-trained rows by method; `sceptics` the rows without pre-training.

    `protocol` names the protocol, or the two of a linear readout: of classes and of values.
    """

    protocol: str
    columns: tuple[Column, ...]
    groups: tuple[tuple[Row, ...], ...]
    sceptics: tuple[Row, ...]

    @property
    def rows(self) -> list[Row]:
        """All rows from top to bottom."""
        return [row for group in self.groups for row in group] + list(self.sceptics)


@dataclass(frozen=True)
class Sheet:
    """A plain table below the main ones: title, heads of columns, rows of as many texts, a note.

    Args:
        numbers: how many of the last columns are numbers, to stand to the right.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: int = 1
    note: str = ""

    def markdown(self) -> str:
        """As a GitHub Markdown table under its title."""
        rows = [[escape(cell) for cell in row] for row in self.rows]
        table = markdown_table(self.head, rows, self.numbers)
        return "\n\n".join(part for part in (f"**{self.title}**", table, self.note) if part) + "\n"


def tables(experiment: Experiment) -> list[Table]:
    """A table for each protocol, the linear readouts' first."""
    families: dict[str, list[Result]] = {}
    for result in experiment.results:
        families.setdefault(_family(result.protocol), []).append(result)
    return [_table(families[name]) for name in sorted(families, key=lambda n: (n != "linear", n))]


def _family(protocol: str) -> str:
    """Protocols that share a table: a linear readout of classes and one of values."""
    return "linear" if protocol in LINEAR else protocol


def _table(results: list[Result]) -> Table:
    """Mean and standard deviation over seeds of every row on every task."""
    tasks = sorted(unique(result.task for result in results))
    best = {task: _best([r for r in results if r.task == task]) for task in tasks}
    keys = unique((r.method, r.label) for r in results)
    keys.sort(key=lambda key: method_order(key[0]))
    rows = [
        _row(key, [r for r in results if (r.method, r.label) == key], best, _shared(key, keys))
        for key in keys
    ]
    methods = unique(row.method for row in rows if row.method not in SCEPTICS)
    return Table(
        ", ".join(sorted(unique(r.protocol for r in results))),
        tuple(_column(task, [r for r in results if r.task == task]) for task in tasks),
        tuple(tuple(row for row in rows if row.method == method) for method in methods),
        tuple(row for row in rows if row.method in SCEPTICS),
    )


def results_table(expdir: str | Path) -> str:
    """The tables of the experiment in `expdir` as Markdown, with seeds, hardware and command.

    Raises:
        UserError: see `read_experiment`; or the experiment has no result yet.
    """
    experiment = read_experiment(expdir)
    if not experiment.results:
        raise UserError(f"no run in {expdir} has a result yet; run `audioinv evaluate` first")
    return tables_markdown(experiment)


def tables_markdown(experiment: Experiment) -> str:
    """A table a protocol, learnt descriptors, measured invariance, hardware and command."""
    parts = [markdown(table) for table in tables(experiment)]
    parts += curve_tables(experiment.results)
    below = (descriptor_table, depth_table, invariance_table, worth_table)
    parts += [make(experiment) for make in below]
    made = f"Hardware: {hardware(experiment)}. Command: {code(command(experiment))}"
    return "\n".join([part for part in parts if part] + [made]) + "\n"


def markdown(table: Table) -> str:
    """`table` as a GitHub Markdown table and a line on what it shows."""
    heads = [f"{escape(column.task)} ({column.metric})" for column in table.columns]
    rows = [_markdown_row(row) for row in table.rows]
    rows.append(["*chance*", *(column.chance for column in table.columns), ""])
    rows.append([f"*test {_tested(table)}*", *(column.n_test for column in table.columns), ""])
    shown = markdown_table(["", *heads, "seeds"], rows, len(heads) + 1)
    return f"{shown}\n\n{_what_it_shows(table)}\n"


def write_results(path: str | Path, text: str) -> None:
    """Puts `text` between the table markers of the Markdown file `path`; adds what is missing.

    A file without markers keeps its text and gets the table at its end.

    Raises:
        UserError: the markers are not exactly one begin followed by one end.
    """
    path = Path(path)
    block = f"{BEGIN}\n\n{text.strip()}\n\n{END}"
    old = _read(path) if path.exists() else "# Results\n"
    if BEGIN not in old and END not in old:
        write_text(path, f"{old.rstrip()}\n\n{block}\n")
        return
    before, _, rest = old.partition(BEGIN)
    _, _, after = rest.partition(END)
    if (old.count(BEGIN), old.count(END), rest.count(END)) != (1, 1, 1):
        raise UserError(f"{path} must hold '{BEGIN}' once, then '{END}' once; repair it by hand")
    write_text(path, before + block + after)


def hardware(experiment: Experiment) -> str:
    """What experiment.json says of the machine."""
    return str(experiment.about.get("hardware") or "not recorded")


def command(experiment: Experiment) -> str:
    """The command that makes the experiment: the recipe's if recorded, else the report's own."""
    name = experiment.path.resolve().name
    return str(experiment.about.get("command") or f"audioinv report {name}")


def _row(key: tuple[str, str], results: list[Result], best: dict[str, str], shared: bool) -> Row:
    method, label = key
    cells = tuple(_cell([r for r in results if r.task == task], top) for task, top in best.items())
    seeds = tuple(sorted(unique(r.seed for r in results)))
    return Row(f"{label} ({method})" if shared else label, method, seeds, cells)


def _shared(key: tuple[str, str], keys: list[tuple[str, str]]) -> bool:
    """Whether another method has a row of the same label."""
    return any(other != key and other[1] == key[1] for other in keys)


def _cell(results: list[Result], best: str) -> Cell | None:
    if not results:
        return None
    metric, values = results[0].metric, [r.value for r in results]
    mean = show(float(np.mean(values)), metric)
    spread = show(float(np.std(values, ddof=1)), metric) if len(values) > 1 else None
    interval = results[0].interval if len(values) == 1 else None
    shown = (show(interval[0], metric), show(interval[1], metric)) if interval else None
    return Cell(mean, spread, shown, len(values), mean == best)


def _best(results: list[Result]) -> str:
    """The best mean over the rows of one task, as shown; equal ones share the honour."""
    keys = unique((r.method, r.label) for r in results)
    means = [np.mean([r.value for r in results if (r.method, r.label) == key]) for key in keys]
    best = min if results[0].metric in ERRORS else max
    return show(float(best(means)), results[0].metric)


def _column(task: str, results: list[Result]) -> Column:
    metrics = unique(result.metric for result in results)
    if len(metrics) > 1:
        raise UserError(f"task {task} is measured by {' and '.join(metrics)}; evaluate it by one")
    name = METRIC_NAMES.get(metrics[0], f"{metrics[0]}, %")
    chances = [r.chance for r in results if r.chance is not None]
    return Column(
        task,
        name,
        _span(show(chance, metrics[0]) for chance in sorted(chances)),
        _span(str(n) for n in sorted(r.n_test for r in results if r.n_test is not None)),
    )


def _tested(table: Table) -> str:
    """What the last row of a table counts."""
    return "episodes" if table.protocol.startswith("fewshot") else "clips"


def _span(shown: Iterable[str]) -> str:
    """The one value, or the first and last of the sorted values."""
    values = unique(shown)
    return "–".join(unique([values[0], values[-1]])) if values else "–"


def _markdown_row(row: Row) -> list[str]:
    label = escape(row.label)
    label = f"*{label}*" if row.method in SCEPTICS else label
    return [label, *(_markdown_cell(c, row) for c in row.cells), str(len(row.seeds))]


def _markdown_cell(cell: Cell | None, row: Row) -> str:
    if cell is None:
        return "–"
    text = f"{cell.mean} ± {cell.spread}" if cell.spread else cell.mean
    text = f"**{text}**" if cell.best else text
    if cell.interval:
        text += f" [{cell.interval[0]}, {cell.interval[1]}]"
    return text if cell.n == len(row.seeds) else f"{text} (n = {cell.n})"


def _what_it_shows(table: Table) -> str:
    seeds = ", ".join(map(str, sorted(unique(seed for row in table.rows for seed in row.seeds))))
    single = any(c and c.n == 1 for row in table.rows for c in row.cells)
    several = any(c and c.n > 1 for row in table.rows for c in row.cells)
    spreads = ["mean ± standard deviation over seeds"] * several
    spreads += ["single seed with its 95% interval"] * single
    return (
        f"Protocol {escape(table.protocol)}; {'; '.join(spreads)}; seeds {seeds}. "
        "Bold: best of its column. Italic rows use no pre-training."
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
