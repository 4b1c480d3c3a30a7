"""What a pack holds of an image: 8-bit pixels of one size. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from audioinv.base.near import unknown
from audioinv.data.media import Samples
from vision import io as image_io

FITS = ("crop", "squash")


@dataclass(frozen=True)
class Images:
    """Square RGB images, channel first.

    Args:
        size: pixels of a side.
        fit: "crop" scales the shorter side to `size` and takes the centre; "squash" scales both
            sides, so that labels given as fractions of width and height stay true.

    Raises:
        UserError: another `fit`.
    """

    size: int
    fit: str = "crop"
    unit: str = "image_size"
    dtype: Any = np.uint8

    def __post_init__(self) -> None:
        if self.fit not in FITS:
            raise unknown("fit", self.fit, FITS)

    def n_bytes(self, frame: pd.DataFrame) -> NDArray[Any]:
        """Three for each pixel."""
        return np.full(len(frame), 3.0 * self.size**2)

    def read(self, path: Path, row: Mapping[str, Any]) -> Samples:
        """The image of a row, (3 * size * size,) uint8."""
        return self.fitted(image_io.read(path, row["index"])).transpose(2, 0, 1).ravel()

    def fitted(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """`image` (H, W, 3) as (size, size, 3); untouched if it has that size."""
        height, width = image.shape[:2]
        if (height, width) == (self.size, self.size):
            return image
        side = min(height, width)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side) if self.fit == "crop" else None
        scaled = Image.fromarray(image).resize(
            (self.size, self.size), Image.Resampling.BICUBIC, box
        )
        return np.asarray(scaled)
