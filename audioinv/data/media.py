"""What a pack holds of each kind of file: how a row of a manifest becomes an array.

Nothing here imports torch, so that the processes which build packs start quickly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from audioinv.base.errors import UserError
from audioinv.data.manifest import FACTORS

if TYPE_CHECKING:
    import pandas as pd

Samples = NDArray[Any]
FULL_SCALE = 32768.0  # of the int16 that packs of sounds hold
OF_SOUNDS = ("audio", "sonograph")


class Media(Protocol):
    """How clips are read; an object that can be pickled.

    `unit` names what `size` is: the one number that all clips of a pack share.
    """

    @property
    def size(self) -> int: ...

    @property
    def unit(self) -> str: ...

    @property
    def dtype(self) -> Any: ...

    def n_bytes(self, frame: pd.DataFrame) -> NDArray[Any]:
        """About how many bytes each row of a manifest will take, (n,)."""
        ...

    def read(self, path: Path, row: Mapping[str, Any]) -> Samples:
        """The samples (n,) of a row.

        Raises:
            UserError: the file cannot be read.
        """
        ...


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
        from audioinv.audio.io import read_pcm  # packs of images need no audio libraries

        return read_pcm(path, self.size, row["start"], row["duration"])


@dataclass(frozen=True)
class Vectors:
    """Factors, from which a front end renders clips of the pack's size."""

    size: int
    unit: str
    names: tuple[str, ...]
    dtype: Any = np.float32

    def n_bytes(self, frame: pd.DataFrame) -> NDArray[Any]:
        """Four for each factor."""
        return np.full(len(frame), 4.0 * len(self.names))

    def read(self, path: Path, row: Mapping[str, Any]) -> Samples:
        """The factors of a row, (F,) float32; no file is opened."""
        return np.array([row[name] for name in self.names], np.float32)


def media_of(
    modality: str, sample_rate: int | None, image_size: int | None, image_fit: str = "crop"
) -> Media:
    """How the clips of a corpus are packed.

    Raises:
        UserError: the size that its modality needs was not given, or the other was.
    """
    wanted, other = ("sample_rate", "image_size")[:: 1 if modality in OF_SOUNDS else -1]
    sizes = {"sample_rate": sample_rate, "image_size": image_size}
    size = sizes[wanted]
    if size is None or sizes[other] is not None:
        raise UserError(f"the manifest is of modality {modality}; give --{wanted}, not --{other}")
    if modality in FACTORS:
        return Vectors(size, wanted, FACTORS[modality])
    if modality == "audio":
        return Sounds(size)
    media: Media = import_module("vision.media").Images(size, image_fit)
    return media
