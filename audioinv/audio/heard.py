"""What samples are like, as they stream by: silent, or of channels that cancel one another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from audioinv.audio.pcm import FULL_SCALE
from audioinv.base.errors import FileError

Samples = npt.NDArray[np.float32]

STEP = 1 / FULL_SCALE  # what 16 bits tell apart
CANCELLED = 1e-4  # of the channels' power is left in their mean: 40 dB less
CANCEL = "its channels cancel one another, as where a cable is wired the wrong way round"
ADVICE = "keep one of them: ffmpeg -i OLD -af 'pan=mono|c0=c0' NEW.wav"


class Heard:
    """Passes blocks (n, channels) on and remembers what they were like."""

    def __init__(self) -> None:
        self.low: Samples | float = np.inf
        self.high: Samples | float = -np.inf
        self.given = self.mixed = 0.0
        self.count = 0

    def listen(self, blocks: Iterable[Samples]) -> Iterator[Samples]:
        """The same blocks."""
        for block in blocks:
            self.low = np.minimum(self.low, block.min(axis=0))
            self.high = np.maximum(self.high, block.max(axis=0))
            self.mix(block)
            yield block

    def mix(self, block: Samples) -> Samples:
        """The mean over channels, (n,)."""
        mono: Samples = block.mean(axis=1, dtype=np.float32)
        if block.shape[1] > 1:
            self.given += float(np.square(block, dtype=np.float32).sum()) / block.shape[1]
            self.count += len(block)
            self.mixed += float(np.square(mono).sum())
        return mono

    @property
    def silent(self) -> bool:
        """Whether no sample of a channel differs from another by as much as 16 bits tell apart."""
        return bool(np.all(np.asarray(self.high) - np.asarray(self.low) < STEP))

    @property
    def cancelled(self) -> bool:
        """Whether next to nothing is left, in their mean, of channels that 16 bits can tell."""
        return self.given > self.count * STEP**2 and self.mixed < CANCELLED * self.given

    def check(self, name: object) -> None:
        """Raises a FileError (cancelled) that names a clip, if its channels are `cancelled`."""
        if self.cancelled:
            raise FileError("cancelled", f"{name}: {CANCEL}; {ADVICE}")
