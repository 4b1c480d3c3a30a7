"""Checks a manifest against its files: really reads every row, and reports every problem."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from audioinv.base.errors import FileError, UserError
from audioinv.data.manifest import Manifest, Problem, readable, table_problems
from audioinv.data.modality import registered
from audioinv.data.parallel import Local, map_all
from audioinv.data.paths import path_inside

__all__ = ["Problem", "validate"]

CHUNK = 16
MILD = frozenset({"silent"})
"""Kinds that a manifest may have: clips are as its owner meant them, perhaps."""
UNREADABLE = frozenset(
    {"missing", "unreadable", "empty", "truncated", "non-finite", "scale", "length", "cancelled"}
    | {"size", "index"}
)
"""Kinds of files that `audioinv pack --on_error skip` leaves out."""


@dataclass(frozen=True)
class _Row:
    """One row, as a worker gets it; `numbers` are those that the modality's manifest has."""

    modality: str
    root: Path
    also: tuple[Path, ...]
    id: str
    path: str
    numbers: tuple[float, ...]


def validate(manifest: Manifest, workers: int = 1, *, files: bool = True) -> list[Problem]:
    """Every problem of the table and of the files, in the manifest's order; [] when all is well.

    Kinds of the table: column, empty, id, duplicate id, path, number, split, fold, label.
    Of every file: missing, unreadable, empty, truncated, leakage (the same content in two splits or
    folds). Of audio also: non-finite, scale (far above full scale), length (the file ends before
    the clip does), sample_rate (not the declared one), cancelled (channels that cancel one
    another), silent (digital silence, the leakage of none). Of images also: size (too large to be
    opened safely), index (no such record).

    Args:
        manifest: read with `strict=False`, so that a bad table is reported with the rest.
        workers: processes that read files.
        files: False checks the table alone, a million rows in seconds, and opens nothing.
    """
    problems = table_problems(manifest.frame, manifest.corpus, bool(manifest.also))
    if not files:
        return problems
    if any(problem.kind == "column" for problem in problems) or len(manifest) == 0:
        return problems
    modality, table = manifest.corpus.modality, readable(manifest)
    numbers = table[list(registered(modality).columns)].itertuples(index=False, name=None)
    rows = [
        _Row(modality, manifest.root, manifest.also, *row)
        for row in zip(table["id"], table["path"], numbers, strict=True)
    ]
    checked = map_all(_check, rows, Local(workers, CHUNK), "validating")
    digests = [digest for _, digest in checked]
    for found, _ in checked:
        problems += found
    for column in sorted({"split", "fold"} & set(table)):
        problems += _leaks(rows, digests, column, list(table[column]))
    return problems


def _check(row: _Row) -> tuple[list[Problem], str]:
    """A row's problems, and the hash of its content ("" if it cannot be read)."""
    try:
        path = path_inside(row.root, row.path, row.also)
        digest, error = registered(row.modality).examine(path, *row.numbers)
    except UserError as unreadable:
        digest, error = "", unreadable
    if error is None:
        return [], digest
    kind = error.kind if isinstance(error, FileError) else "path"
    return [Problem(row.id, row.path, kind, str(error))], digest


def _leaks(rows: list[_Row], digests: list[str], column: str, parts: list[str]) -> list[Problem]:
    """Rows whose content was met before in another part (a split or a fold)."""
    problems = []
    first: dict[str, tuple[str, str]] = {}
    for row, digest, part in zip(rows, digests, parts, strict=True):
        before, other = first.setdefault(digest, (part, row.id))
        if digest and before != part:
            message = f"{row.path}: same {row.modality} as {other}, in {column} {before} and {part}"
            problems.append(Problem(row.id, row.path, "leakage", message))
    return problems
