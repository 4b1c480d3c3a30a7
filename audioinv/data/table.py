"""A table as a file, CSV or Parquet by its ending: read as text, so that nothing is guessed."""

from __future__ import annotations

import csv
import re
import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np

from audioinv.base.errors import UserError
from audioinv.base.files import atomic_path
from audioinv.data.later import pandas as pd

NUMBER = re.compile(r"[+-]?\d+,\d+(e[+-]?\d+)?", re.I)  # with a decimal comma


def as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Every value as a string, a missing one as "", a list's joined by ";".

    The rows are numbered 0..n-1.
    """
    columns = {str(name): frame[name].map(_text, na_action="ignore") for name in frame.columns}
    return pd.DataFrame(columns).astype("str").fillna("").reset_index(drop=True)


def _text(value: Any) -> str:
    if isinstance(value, list | tuple | np.ndarray):
        return ";".join("" if each is None else str(each) for each in value)
    return str(value)


def separator_of(header: str) -> str:
    """What stands between the columns of a table's first line: a comma, or as spreadsheets of other
    countries have it, a semicolon or a tab."""
    return max(",;\t", key=header.count)


def with_point(text: str) -> str:
    """A number with a decimal comma as one with a point; any other text as it is."""
    return text.replace(",", ".") if NUMBER.fullmatch(text.strip()) else text


def read_table(path: Path) -> pd.DataFrame:
    """The table as strings.

    Raises:
        UserError: another ending, a missing file, or not such a table.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise UserError(f"{path}: a manifest ends in .csv or .parquet")
    try:
        if path.suffix == ".parquet":
            return as_text(pd.read_parquet(path))
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows too long lose values
            return as_text(_read_csv(path))
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 ({error.reason}); save it as CSV UTF-8") from error
    except (
        OSError,
        ValueError,
        pd.errors.ParserWarning,
    ) as error:  # parse and Arrow errors are ValueErrors
        raise UserError(f"cannot read {path}: {' '.join(str(error).split())}") from error


def _read_csv(path: Path) -> pd.DataFrame:
    """With commas between the columns; or with semicolons or tabs, and then decimal commas too."""
    with open(path, encoding="utf-8-sig") as file:
        first = file.readline()
    told = re.match(r'"?sep=(.)"?\s*$', first, re.I)  # Excel's own line
    separator = told[1] if told else separator_of(first)
    # Only "" is missing: "NA" and "null" are labels like others.
    table = pd.read_csv(
        path, sep=separator, skiprows=1 if told else 0, dtype="str", keep_default_na=False,
        index_col=False, encoding="utf-8-sig",
    )  # fmt: skip
    return table if separator == "," else table.map(with_point)


def write_table(path: Path, frame: pd.DataFrame) -> None:
    """Writes the table atomically.

    Raises:
        UserError: it cannot be written.
    """
    with atomic_path(path) as temporary:
        if path.suffix == ".parquet":
            frame.to_parquet(temporary, index=False)
        else:
            _write_csv(temporary, frame)


def _write_csv(path: Path, frame: pd.DataFrame) -> None:
    # A lone carriage return is not quoted by itself, and would end the row when read.
    texts: pd.DataFrame = frame.select_dtypes("str")
    odd = any(column.str.contains("\r").any() for _, column in texts.items())
    quoting: Literal[0, 2] = csv.QUOTE_NONNUMERIC if odd else csv.QUOTE_MINIMAL
    frame.to_csv(path, index=False, lineterminator="\n", quoting=quoting, encoding="utf-8")
