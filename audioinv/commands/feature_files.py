"""Features as a file, of the kind that its ending says, written as they come."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from audioinv.base.errors import UserError
from audioinv.base.files import atomic_path
from audioinv.base.tensors import save_tensors

log = logging.getLogger(__name__)
Write = Callable[[pd.DataFrame, NDArray[np.float32]], None]
"""Takes rows, and their features (n, d)."""


@contextmanager
def features_file(out: Path, key: str = "") -> Iterator[Write]:
    """Yields what writes rows to `out`, which stands when all are written.

    .parquet has the rows' columns and `feature`, a list of d floats; .csv has d columns feature_0,
    feature_1, ... instead; .npy holds the features (n, d) alone, and OUT.rows.csv beside it the
    rows; .safetensors holds `feature` and the columns of numbers, the others as JSON in its
    metadata.

    Args:
        key: of what it was made from, kept in .parquet.

    Raises:
        UserError: another ending.
    """
    check_ending(out)
    with KINDS[out.suffix.lower()](out, key) as write:
        yield write


def apart(frame: pd.DataFrame) -> pd.DataFrame:
    """A manifest, with `manifest_` before the names of columns that files of features have."""
    own = re.compile(r"feature(_\d+)?|start_s|end_s")
    renamed = {name: f"manifest_{name}" for name in frame if own.fullmatch(str(name))}
    if renamed:
        log.warning("columns of the manifest are written as %s", ", ".join(renamed.values()))
    return frame.rename(columns=renamed)


def check_ending(out: Path) -> None:
    """Raises a UserError for a file of no kind that is known."""
    if out.suffix.lower() not in KINDS:
        raise UserError(
            f"--out is {out}; give a file that ends in {', '.join(filter(None, KINDS))}"
        )


def has_key(file: Path, key: str) -> bool:
    """Whether the Parquet file is there, whole, and was made from what `key` says."""
    try:
        metadata = pq.read_schema(file).metadata or {}
    except (OSError, pa.ArrowException):
        return False
    return bool(metadata.get(b"key") == key.encode())


@contextmanager
def _parquet(out: Path, key: str) -> Iterator[Write]:
    made: list[pq.ParquetWriter] = []

    def write(rows: pd.DataFrame, features: NDArray[np.float32]) -> None:
        table = pa.Table.from_pandas(rows, preserve_index=False)
        column = pa.FixedSizeListArray.from_arrays(pa.array(features.ravel()), features.shape[1])
        table = table.append_column("feature", column)
        if not made:
            schema = table.schema.with_metadata({**(table.schema.metadata or {}), "key": key})
            made.append(pq.ParquetWriter(temporary, schema))
        made[0].write_table(table.cast(made[0].schema))

    with atomic_path(out) as temporary:
        yield write
        for writer in made:
            writer.close()


@contextmanager
def _csv(out: Path, key: str) -> Iterator[Write]:
    with atomic_path(out) as temporary, open(temporary, "w", encoding="utf-8") as file:

        def write(rows: pd.DataFrame, features: NDArray[np.float32]) -> None:
            names = [f"feature_{k}" for k in range(features.shape[1])]
            told = pd.DataFrame(features, columns=names)
            both = pd.concat([rows.reset_index(drop=True), told], axis=1)
            both.to_csv(file, index=False, header=not file.tell(), lineterminator="\n")

        yield write
        file.flush()


@contextmanager
def _npy(out: Path, key: str) -> Iterator[Write]:
    n, beside = 0, out.with_name(f"{out.name}.rows.csv")

    def write(rows: pd.DataFrame, features: NDArray[np.float32]) -> None:
        nonlocal n
        n += len(features)
        if not file.tell():
            _npy_head(file, n, features.shape[1])
        width.append(features.shape[1])
        file.write(features.tobytes())
        rows.to_csv(told, index=False, header=not told.tell(), lineterminator="\n")

    width: list[int] = []
    with (
        atomic_path(beside) as rows_of, open(rows_of, "w", encoding="utf-8") as told,
        atomic_path(out) as temporary, open(temporary, "wb") as file,
    ):  # fmt: skip
        yield write
        if width:
            file.seek(0)
            _npy_head(file, n, width[0])  # numpy leaves room for the final number
        file.flush()
        told.flush()


def _npy_head(file: Any, n: int, d: int) -> None:
    head = {"descr": "<f4", "fortran_order": False, "shape": (n, d)}
    np.lib.format.write_array_header_1_0(file, head)


@contextmanager
def _safetensors(out: Path, key: str) -> Iterator[Write]:
    frames: list[pd.DataFrame] = []
    parts: list[NDArray[np.float32]] = []

    def write(rows: pd.DataFrame, features: NDArray[np.float32]) -> None:
        frames.append(rows)
        parts.append(features)

    yield write
    rows = pd.concat(frames, ignore_index=True)
    names = [str(name) for name in rows]
    numbers = [name for name in names if rows[name].dtype.kind in "if"]
    tensors = {name: torch.from_numpy(rows[name].to_numpy().copy()) for name in numbers}
    tensors["feature"] = torch.from_numpy(np.concatenate(parts))
    others = {name: json.dumps(rows[name].tolist()) for name in names if name not in numbers}
    save_tensors(out, tensors, others)


KINDS: dict[str, Callable[[Path, str], Any]] = {
    "": _parquet,
    ".parquet": _parquet,
    ".npy": _npy,
    ".csv": _csv,
    ".safetensors": _safetensors,
}
