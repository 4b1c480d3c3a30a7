"""What several augmentations share: the level of a clip, the sample rate."""

from __future__ import annotations

import torch
from torch import Tensor

from audioinv.core.errors import UserError


def check_sample_rate(sample_rate: int) -> None:
    """Raises UserError unless `sample_rate` is a positive number of Hz."""
    if not sample_rate > 0:
        raise UserError(f"sample_rate is {sample_rate}; give a positive number of Hz")


def rms(x: Tensor) -> Tensor:
    """Root mean square (B, 1) of `x` (B, T); of silence it is about 1e-19, with gradient 0."""
    tiny = torch.finfo(x.dtype).tiny
    return x.square().mean(-1, keepdim=True).clamp_min(tiny).sqrt()
