"""Sounds as packs hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from audioinv.audio.decoder import read_parts
from audioinv.audio.io import read_pcm
from audioinv.base.errors import UserError
from audioinv.data.media import Samples

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Sounds:
    """16-bit mono at a sample rate (Hz)."""

    size: int
    unit: str = "sample_rate"
    dtype: Any = np.int16

    def n_bytes(self, frame: pd.DataFrame) -> NDArray[Any]:
        """Two for each sample."""
        return frame["duration"].to_numpy() * self.size * 2

    def read(self, path: Path, row: Mapping[str, Any]) -> Samples:
        """The row's stretch of the file, mixed to mono and resampled, (n,) int16."""
        return read_pcm(path, self.size, row["start"], row["duration"])

    def read_all(self, path: Path, rows: Sequence[Mapping[str, Any]]) -> list[Samples | UserError]:
        """`read` of several rows, of which a child process decodes the file once, in order."""
        return [*read_parts(path, self.size, [(row["start"], row["duration"]) for row in rows])]
