"""A table as a file, CSV or Parquet by its ending: read as text, so that nothing is guessed."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path
from typing import Literal

from audioinv.base.errors import UserError
from audioinv.base.files import atomic_path
from audioinv.data.later import pandas as pd


def as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Every value as a string, a missing one as "", the rows numbered 0..n-1."""
    columns = {str(name): frame[name].map(str, na_action="ignore") for name in frame.columns}
    return pd.DataFrame(columns).astype("str").fillna("").reset_index(drop=True)


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
            # Only "" is missing: "NA" and "null" are labels like others.
            table = pd.read_csv(
                path, dtype="str", keep_default_na=False, index_col=False, encoding="utf-8-sig"
            )
        return as_text(table)
    except (
        OSError,
        ValueError,
        pd.errors.ParserWarning,
    ) as error:  # parse, Arrow and Unicode errors are ValueErrors
        raise UserError(f"cannot read {path}: {' '.join(str(error).split())}") from error


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
