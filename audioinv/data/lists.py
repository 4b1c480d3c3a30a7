"""What every corpus does with its lists: find the folder, read them, add lengths, write the rest.

A corpus makes a table with a row a clip (id, path relative to the root, split or fold, labels);
`timed` adds what the files themselves tell, and `write_table` makes it the manifest.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from audioinv.base.errors import UserError
from audioinv.base.near import meant
from audioinv.data.later import pandas as pd
from audioinv.data.manifest import Corpus, stratified_validation, write_manifest
from audioinv.data.paths import path_inside


def locate(root: str | Path, wanted: str | Sequence[str], source: str) -> Path:
    """The folder that holds all of `wanted`: `root`, or the one folder below it that does.

    An archive unpacks into a folder of its own, and people give either that or the one around it.

    Args:
        wanted: names of files or folders, relative; "*" in a name stands for any letters.
        source: where to get the corpus, for the error.

    Raises:
        UserError: no such folder, or several.
    """
    root = Path(root)
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    below = sorted(path for path in root.glob("*") if path.is_dir()) if root.is_dir() else []
    found = [folder for folder in (root, *below) if _has(folder, names)]
    if not found:
        raise UserError(f"no {' and '.join(names)} under {root}; get the corpus from {source}")
    if found[0] != root and len(found) > 1:
        shown = " and ".join(folder.name for folder in found)
        raise UserError(f"{root} holds the corpus several times: {shown}; give one of them")
    return found[0]


def _has(folder: Path, names: Sequence[str]) -> bool:
    return all(next(folder.glob(name), None) is not None for name in names)


def read_table(path: str | Path, columns: Sequence[str], separator: str = ",") -> pd.DataFrame:
    """A table with a header, every value a string and "" where there is none.

    Args:
        columns: that it must have; others are kept too.
        separator: a tab means that quotation marks are text.

    Raises:
        UserError: the file is missing, is no such table, or lacks a column.
    """
    try:
        table = pd.read_csv(
            path,
            sep=separator,
            dtype="str",
            keep_default_na=False,
            quoting=csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL,
            encoding="utf-8-sig",
        )
    except (OSError, ValueError) as error:  # parse and Unicode errors are ValueErrors
        raise UserError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    if missing := [name for name in columns if name not in table]:
        raise UserError(
            f"{path} has no column {', '.join(missing)} (it has {', '.join(map(str, table))}); "
            "put the published file there"
        )
    return table


def read_lines(path: str | Path) -> list[str]:
    """The lines of a list that are not empty, without white space around them.

    Raises:
        UserError: the file is missing or is no text.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    return [line.strip() for line in lines if line.strip()]


def files_of(root: Path, paths: Sequence[str]) -> list[Path]:
    """The files at `paths`, relative to `root`.

    Raises:
        UserError: some are missing or lie outside the root.
    """
    files = [path_inside(root, path) for path in paths]
    missing = [path for path, file in zip(paths, files, strict=True) if not file.is_file()]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(files)} files of the corpus are not under {root}, "
            f"such as {missing[0]}; unpack it again"
        )
    return files


def write_table(
    root: Path, out: str | Path, frame: pd.DataFrame, corpus: Corpus, ending: str = ".csv"
) -> Path:
    """Writes the manifest into `out`, its root being `root`; returns the manifest's path.

    Args:
        corpus: whose own `root` is not looked at: give "".

    Raises:
        UserError: the table has problems, or cannot be written.
    """
    relative = Path(os.path.relpath(root.resolve(), Path(out).resolve())).as_posix()
    return write_manifest(out, frame, replace(corpus, root=relative), ending)


def draw_split(
    rows: pd.DataFrame,
    seed: int,
    *,
    strata: Sequence[str] = (),
    whole: str = "",
    test: float = 0.1,
    valid: float = 0.1,
) -> pd.DataFrame:
    """`rows` (with id) with a drawn split, where none is published.

    Args:
        strata: columns over whose values the parts are even.
        whole: instead, a column no value of which is in two parts: speakers, say.
        test, valid: shares of the clips, or of the values of `whole`.
    """
    units = pd.DataFrame({"id": sorted(set(rows[whole]))}) if whole else rows
    units = units.assign(split="train")
    units = stratified_validation(units, list(strata), test, seed, part="test")
    units = stratified_validation(units, list(strata), valid / (1 - test), seed)
    if not whole:
        return units
    return rows.assign(split=rows[whole].map(units.set_index("id")["split"]))


def choice(name: str, value: str, allowed: Sequence[str]) -> str:
    """`value`, if it is one of `allowed`.

    Raises:
        UserError: it is not.
    """
    if value not in allowed:
        near = meant(value, allowed)
        raise UserError(f"{name} is '{value}'; give {', '.join(allowed)}{near}")
    return value
