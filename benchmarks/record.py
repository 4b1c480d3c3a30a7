"""Measurements as JSON, and the Markdown page made from it alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from audioinv.base.files import read_json, write_json, write_text
from benchmarks.measure import title

HEAD = """# Benchmarks

Made by `python -m benchmarks` (`make benchmarks`), which keeps the figures in
[benchmarks.json](benchmarks.json) and writes this page from them: do not edit it. Contenders do the
same work and take turns in one process, A B A B. A ratio is taken within a turn; given are medians,
and quartiles in brackets. On one thread of a CPU the clock is the process's own processor time, so
that waiting for a busy machine does not count; load is the machine's average over a minute.
"""


def merge(folder: Path, benchmark: str, found: Mapping[str, Any]) -> None:
    """Puts the figures of one benchmark in place of older ones, and writes the page anew.

    Comparisons of it that were not made again stay as they were.
    """
    figures = _read(folder)
    made = {_title(c): c for c in figures.get(benchmark, {}).get("comparisons", [])}
    made |= {_title(c): c for c in found["comparisons"]}
    figures[benchmark] = {**found, "comparisons": list(made.values())}
    _write(folder, figures)


def forget_others(folder: Path, benchmark: str, titles: Sequence[str]) -> None:
    """Drops comparisons that a benchmark used to make: those whose titles are not in `titles`."""
    figures = _read(folder)
    found = figures.get(benchmark, {"comparisons": []})
    kept = [c for c in found["comparisons"] if _title(c) in titles]
    if len(kept) < len(found["comparisons"]):
        found["comparisons"] = kept
        _write(folder, figures)


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "benchmarks.json"
    return dict(read_json(path)) if path.exists() else {}


def _write(folder: Path, figures: Mapping[str, Any]) -> None:
    write_json(folder / "benchmarks.json", figures)
    write_text(folder / "benchmarks.md", HEAD + "".join(section(*item) for item in figures.items()))


def section(benchmark: str, found: Mapping[str, Any]) -> str:
    """The part of the page about one benchmark."""
    tables = "\n".join(table(comparison) for comparison in found["comparisons"])
    return f"\n## {benchmark}\n\n{found['about']}\n\n{_provenance(found)}\n\n{tables}"


def table(comparison: Mapping[str, Any]) -> str:
    """Times and ratios of one comparison, as Markdown."""
    rounds, load = comparison["rounds"], comparison["load"]
    rows = [f"| {name} | {_values(ms)} ms | |" for name, ms in comparison["ms"].items()]
    rows += [_ratio_row(ratio) for ratio in comparison["ratios"]]
    clock = comparison["clock"]
    head = [f"**{_title(comparison)}** ({rounds} turns, load {load}, {clock})"]
    return "\n".join([*head, "", "| | median | target |", "| --- | ---: | --- |", *rows, ""])


def _title(comparison: Mapping[str, Any]) -> str:
    return title(comparison["name"], comparison["work"])


def _ratio_row(ratio: Mapping[str, Any]) -> str:
    verdict = f"{ratio['target']}: {'met' if ratio['met'] else '**missed**'}"
    target = verdict if ratio["target"] else ""
    return f"| *{ratio['of']} / {ratio['to']}* | *{_values(ratio)}* | {target} |"


def _values(values: Mapping[str, float]) -> str:
    median, low, high = (f"{values[name]:.3g}" for name in ("median", "low", "high"))
    return f"{median} ({low} to {high})"


def _provenance(found: Mapping[str, Any]) -> str:
    machine = found["machine"]
    versions = _listed(f"{n} {v}" for n, v in machine["versions"].items() if v != "absent")
    threads = f"{machine['threads']} thread{'s' if machine['threads'] > 1 else ''}"
    return (
        f"`{found['command']}` on {machine['hardware']}, {threads}, {found['date']}; "
        f"Python {machine['python']}, {versions}."
    )


def _listed(parts: Iterable[str]) -> str:
    return ", ".join(parts)
