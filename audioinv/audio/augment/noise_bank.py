"""Fixed Gaussian noise, so that an augmentation with noise is a pure function of where it reads."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from audioinv.base.randomness import generator
from audioinv.core.augmentation import Parameter

OFFSETS = 2**20
OFFSET = Parameter("offset", "place in the noise bank", 0.0, OFFSETS - 1.0, 0.0, False, False)


def sample_offsets(n: int, generator: torch.Generator) -> Tensor:
    """`n` places (n,) in the bank, whole numbers from 0 to 2^20 - 1, as floats."""
    return torch.randint(OFFSETS, (n,), generator=generator).float()


def read_noise(
    offset: Tensor, length: int, dtype: torch.dtype, first: Tensor | None = None, size: int = 0
) -> Tensor:
    """Gaussian noise (B, length) of variance 1 from the places `offset` (B,) on, on any device.

    Args:
        first, size: of those samples only `size`, from the sample `first` (B,) on.
    """
    bank, place = noise_at(offset, length, dtype)
    if first is None:
        return bank.unfold(0, length, 1)[place]
    return bank.unfold(0, size, 1)[place + first]


def noise_at(offset: Tensor, length: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The bank (N,), and where in it the noise (length,) of each of `offset` (B,) begins, (B,)."""
    bank = _bank(OFFSETS + 2 ** (length - 1).bit_length(), offset.device, dtype)
    return bank, offset.detach().long() % OFFSETS


@torch.compiler.assume_constant_result
def _bank(size: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    return _drawn(size, device, dtype)


@lru_cache(maxsize=4)
@torch.inference_mode(False)  # what is cached must serve training too
def _drawn(size: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    return torch.randn(size, generator=generator(0, "noise bank")).to(device, dtype)
