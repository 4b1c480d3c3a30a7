"""What several augmentations share: the level of a clip, the sample rate."""

from __future__ import annotations

from collections.abc import Callable

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from audioinv.base.errors import UserError

PART = 2**17  # samples that are worked on together
FOURIER_PART = 2**19  # the same with Fourier transforms, whose plans are made anew for each part


def in_parts(
    apply: Callable[[Tensor, Tensor], Tensor], x: Tensor, params: Tensor, part: int = PART
) -> Tensor:
    """`apply(x, params)` on as many examples (B, T) at a time as the processor's cache holds."""
    if x.device.type != "cpu" or x.numel() <= part:
        return apply(x, params)
    size = max(1, part // x.shape[-1])
    parts = zip(x.split(size), params.split(size), strict=True)
    return torch.cat([apply(some, own) for some, own in parts])


@torch.compiler.assume_constant_result
def fast_length(n: int) -> int:
    """The smallest length of `n` or more whose Fourier transform is fast."""
    return int(next_fast_len(n, real=True))


def check_sample_rate(sample_rate: int) -> None:
    """Raises UserError unless `sample_rate` is a positive number of Hz."""
    if not sample_rate > 0:
        raise UserError(f"sample_rate is {sample_rate}; give a positive number of Hz")


def rms(x: Tensor) -> Tensor:
    """Root mean square (B, 1) of `x` (B, T); of silence it is about 1e-19, with gradient 0."""
    tiny = torch.finfo(x.dtype).tiny
    power = torch.linalg.vecdot(x, x)[..., None] / x.shape[-1]
    return power.clamp_min(tiny).sqrt()
