"""Arrays in memory up to a budget, and in files beyond it."""

from __future__ import annotations

import math
import mmap
import tempfile
import weakref

import numpy as np
import torch
from torch import Tensor

from audioinv.base.errors import UserError

GB = 10**9


class Storage:
    """`zeros(n, d)` gives a float32 tensor in memory, or in a memory-mapped temporary file.

    Args:
        gb: how much may lie in memory, in 10^9 bytes; what comes after goes to files in TMPDIR.
            They have no name: they are gone with the tensor, however the process ends.

    Raises:
        UserError: a budget below 0.
    """

    def __init__(self, gb: float = 4.0) -> None:
        if not gb >= 0:
            raise UserError(f"features.memory_gb is {gb}; give 0 or more")
        self.budget = int(min(gb, 1e9) * GB)
        self.used = 0
        self.mapped: dict[int, np.memmap] = {}

    @property
    def batch_bytes(self) -> int:
        """How much of the clips may be held at a time while features are made of them."""
        return min(max(self.budget // 4, 16 << 20), 256 << 20)

    def zeros(self, *shape: int) -> Tensor:
        """A tensor of zeros, float32."""
        size = 4 * math.prod(shape)
        if self.used + size <= self.budget or size == 0:
            self.used += size
            tensor = torch.zeros(shape)
            weakref.finalize(tensor, self._free, size)
            return tensor
        with tempfile.TemporaryFile(prefix="audioinv-") as file:
            array = np.memmap(file, np.float32, "w+", shape=shape)
        tensor = torch.from_numpy(array)
        self.mapped[tensor.data_ptr()] = array
        weakref.finalize(tensor, self.mapped.pop, tensor.data_ptr(), None)
        return tensor

    def rest(self, tensor: Tensor) -> None:
        """Lets go of the pages of a tensor of `zeros` that lies in a file; they are read again."""
        array = self.mapped.get(tensor.data_ptr())
        if array is not None and hasattr(mmap, "MADV_DONTNEED"):
            array.flush()
            array._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]

    def _free(self, size: int) -> None:
        self.used -= size
