"""What every corpus does with its lists: find the folder, read them, add lengths, write the rest.

A corpus makes a table with a row a clip (id, path relative to the root, split or fold, labels);
`timed` adds what the files themselves tell, and `write_table` makes it the manifest.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from audioinv.base.errors import FileError, UserError
from audioinv.base.near import meant
from audioinv.data.later import pandas as pd
from audioinv.data.manifest import Corpus, stratified_validation, write_manifest
from audioinv.data.parallel import probe_each
from audioinv.data.paths import path_inside
from audioinv.data.preparing import current

Info = TypeVar("Info")


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
    files = [path_inside(root, path, current().also) for path in paths]
    missing = [path for path, file in zip(paths, files, strict=True) if not file.is_file()]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(files)} files of the corpus are not under {root}, "
            f"such as {missing[0]}; unpack it again, or leave them out by --on_error skip"
        )
    return files


def probed(
    root: Path, rows: pd.DataFrame, probe: Callable[[Path], Info]
) -> tuple[pd.DataFrame, list[Info]]:
    """`rows` (with path) and what `probe` tells of the file of each.

    Rows of files that cannot be read are left out where that was asked for (see `preparing`).

    Raises:
        UserError: it was not, or no file can be read, or one lies outside the root.
    """
    preparation, paths = current(), list(rows["path"])
    skip = preparation.on_error == "skip"
    inside = (path_inside(root, path, preparation.also) for path in paths)
    files = list(inside) if skip else files_of(root, paths)
    found = probe_each(probe, files)
    wrong = {p: str(e) for p, e in zip(paths, found, strict=True) if isinstance(e, FileError)}
    preparation.pass_over(wrong)
    if wrong and len(wrong) == len(set(paths)):
        raise UserError(f"no file under {root} can be read; the first: {wrong[paths[0]]}")
    kept = rows[~rows["path"].isin(wrong)].reset_index(drop=True) if wrong else rows
    return kept, [info for info in found if not isinstance(info, FileError)]


def write_table(
    root: Path, out: str | Path, frame: pd.DataFrame, corpus: Corpus, ending: str = ".csv"
) -> Path:
    """Writes the manifest into `out`, its root being `root`; returns the manifest's path.

    Args:
        corpus: whose own `root` is not looked at: give "".

    Raises:
        UserError: the table has problems, or cannot be written; or files were left out, and
            `audioinv prepare` was told to leave none out.
    """
    preparation = current()
    preparation.check()
    relative = Path(os.path.relpath(root.resolve(), Path(out).resolve())).as_posix()
    path = write_manifest(out, frame, replace(corpus, root=relative), ending)
    preparation.write(path.parent)
    return path


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
