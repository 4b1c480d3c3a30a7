"""Checks a manifest against its files: really reads every row, and reports every problem."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from audioinv.base.errors import FileError, UserError
from audioinv.data.manifest import Corpus, Manifest, Problem, readable, table_problems
from audioinv.data.modality import registered
from audioinv.data.parallel import Local, map_all
from audioinv.data.paths import path_inside

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Problem", "validate"]

CHUNK = 16
MILD = frozenset({"silent", "blank"})
"""Kinds that a manifest may have: clips are as its owner meant them, perhaps."""
UNREADABLE = frozenset(
    {"missing", "unreadable", "empty", "truncated", "non-finite", "scale", "length", "cancelled"}
    | {"joined", "unread", "size", "index"}
)
"""Kinds of files that `audioinv pack --on_error skip` leaves out."""
Checked = tuple[Problem | None, str]


@dataclass(frozen=True)
class _File:
    """One file and its rows, as a worker gets it; `numbers` are those that the modality has."""

    modality: str
    root: Path
    also: tuple[Path, ...]
    path: str
    ids: list[str]
    numbers: NDArray[np.float64]


def validate(manifest: Manifest, workers: int = 1, *, files: bool = True) -> list[Problem]:
    """Every problem of the table and of the files, in the manifest's order; [] when all is well.

    Kinds of the table: column, empty, id, duplicate id, path, number, split, fold, label.
    Of every file: missing, unreadable, empty, truncated, leakage (the same content in two splits or
    folds). Of audio also: non-finite, scale (far above full scale), length (the file ends before
    the clip does), sample_rate (not the declared one), cancelled (channels that cancel one
    another), silent (digital silence, the leakage of none), joined (another file begins within it),
    unread (far more bytes than its header names). Of images also: size (too large to be opened
    safely), index (no such record), blank (of one colour, the leakage of none).

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
    table = readable(manifest)
    checked = _read(manifest, table, Local(workers, CHUNK))
    problems += [problem for problem, _ in checked if problem is not None]
    for column in sorted({"split", "fold"} & set(table)):
        problems += _leaks(table, [digest for _, digest in checked], column, manifest.corpus)
    return problems


def _read(manifest: Manifest, table: pd.DataFrame, engine: Local) -> list[Checked]:
    """Of each row its problem, and the hash of its content ("" if it cannot be read)."""
    modality = manifest.corpus.modality
    ids = table["id"].to_numpy(object)
    numbers = table[list(registered(modality).columns)].to_numpy()
    groups = table.groupby("path", sort=False).indices
    files = [
        _File(modality, manifest.root, manifest.also, str(path), [*ids[rows]], numbers[rows])
        for path, rows in groups.items()
    ]
    checked: list[Checked] = [(None, "")] * len(table)
    for rows, found in zip(
        groups.values(), map_all(_check, files, engine, "validating"), strict=True
    ):
        for row, each in zip(rows, found, strict=True):
            checked[row] = each
    return checked


def _check(file: _File) -> list[Checked]:
    try:
        path = path_inside(file.root, file.path, file.also)
        found = registered(file.modality).examine_all(
            path, [tuple(row) for row in file.numbers.tolist()]
        )
    except UserError as error:
        found = [("", error)] * len(file.ids)
    return [
        (None if error is None else _problem(id_, file.path, error), digest)
        for id_, (digest, error) in zip(file.ids, found, strict=True)
    ]


def _problem(id_: str, path: str, error: UserError) -> Problem:
    return Problem(id_, path, error.kind if isinstance(error, FileError) else "path", str(error))


def _leaks(table: pd.DataFrame, digests: list[str], column: str, corpus: Corpus) -> list[Problem]:
    """Rows whose content was met before in another part (a split or a fold)."""
    problems = []
    first: dict[str, tuple[str, str]] = {}
    rows = zip(table["id"], table["path"], table[column], digests, strict=True)
    for id_, path, part, digest in rows:
        before, other = first.setdefault(digest, (part, id_))
        if digest and before != part:
            message = f"{path}: same {corpus.modality} as {other}, in {column} {before} and {part}"
            problems.append(Problem(id_, path, "leakage", message))
    return problems
