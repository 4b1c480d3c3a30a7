"""16-bit samples, as packs of sounds hold them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Pcm = npt.NDArray[np.int16]
FULL_SCALE = 32768.0


def to_int16(samples: npt.NDArray[np.floating]) -> Pcm:
    """16-bit samples: rounded, clipped to the range. Exact for what came from 16-bit audio."""
    return np.clip(np.rint(samples * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
