"""Recordings in files and in packs: (4, n) float32, in a pack sample by sample."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from audioinv.base.errors import FileError, UserError
from audioinv.data.media import Samples

if TYPE_CHECKING:
    import pandas as pd

CHANNELS, ENDING = 4, ".npy"


@dataclass(frozen=True)
class Recordings:
    """All of a file, brought to a rate (Hz) that divides its own."""

    size: int
    unit: str = "series_rate"
    dtype: Any = np.float32

    def n_bytes(self, frame: pd.DataFrame) -> NDArray[Any]:
        """As if they had ten seconds: files are small."""
        return np.full(len(frame), 10.0 * self.size * CHANNELS * 4)

    def read(self, path: Path, row: Mapping[str, Any]) -> Samples:
        """(4 n,): the four values of a moment stand side by side; moments are averaged."""
        values, rate = load(path), row["rate"] or self.size
        if rate % self.size:
            raise UserError(f"{path} is at {rate} Hz; give a --series_rate that divides it")
        step = int(rate) // self.size
        n = values.shape[1] // step
        return values[:, : n * step].reshape(CHANNELS, n, step).mean(2).T.ravel()


def load(path: Path) -> NDArray[np.float32]:
    """The values (4, n) of a file.

    Raises:
        UserError: it is none, or is empty.
    """
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise FileError("unreadable", f"cannot read {path}: {error}") from error
    if values.ndim != 2 or len(values) != CHANNELS or values.shape[1] == 0:
        raise FileError("shape", f"{path} is {values.shape}; give ({CHANNELS}, samples)")
    return values.astype(np.float32)


def examine(path: Path) -> tuple[str, UserError | None]:
    """A hash of the values, and whether there is one that is not finite."""
    values = load(path)
    digest = hashlib.sha256(values.tobytes()).hexdigest()
    bad = int((~np.isfinite(values)).sum())
    return digest, FileError("non-finite", f"{path}: {bad} values not finite") if bad else None
