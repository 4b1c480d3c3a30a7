"""Fade in and fade out."""

from __future__ import annotations

import torch
from torch import Tensor

from audioinv.core.augmenting import check_range
from audioinv.core.bank import Augmentation, Parameter

SHAPES = ("linear", "logarithmic", "exponential")


class Fade(Augmentation):
    """Lets a clip rise from silence and fall back to it.

    Gains over u = 0 ... 1 are u (linear), 1 + log10(0.1 + u) up to 1 (logarithmic) and u 2^(u - 1)
    (exponential), those of `torchaudio.transforms.Fade`.

    Args:
        max_fraction: the longest fade at either end, as a fraction of the clip, 0 to 1.

    Raises:
        UserError: `max_fraction` outside its range.
    """

    name = "fade"

    def __init__(self, max_fraction: float = 0.5) -> None:
        check_range("fade", 0.0, max_fraction, (0, 1), "of the clip")
        self.parameters = (
            Parameter("fade_in", "fraction of the clip", 0.0, max_fraction, 0.0),
            Parameter("fade_out", "fraction of the clip", 0.0, max_fraction, 0.0),
            Parameter("shape", " | ".join(SHAPES), 0.0, 2.0, 0.0, False, False),
        )

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Uniform fractions (columns 0, 1) and an equally likely shape 0, 1 or 2 (column 2)."""
        rows = super().sample(n, generator)
        rows[:, 2] = torch.randint(len(SHAPES), (n,), generator=generator)
        return rows

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        """Fades `x` (B, T) by `params` (B, 3); differentiable in both fractions."""
        fade_in, fade_out, shape = params[..., None].unbind(1)
        length = x.shape[-1]
        time = torch.arange(length, device=x.device, dtype=params.dtype)
        rise = _gain(time, fade_in * length, shape)
        fall = _gain(length - 1 - time, fade_out * length, shape)
        return x * (rise * fall).to(x.dtype)


def _gain(time: Tensor, samples: Tensor, shape: Tensor) -> Tensor:
    """Gains (B, T) of a fade over `samples` (B, 1), from 0 at its first sample to 1 at its last."""
    fades = samples > 1
    u = torch.where(fades, time / torch.where(fades, samples - 1, 1), 1).clamp_max(1)
    logarithmic = (1 + torch.log10(0.1 + u)).clamp_max(1)
    exponential = u * torch.exp2(u - 1)
    return torch.where(shape == 0, u, torch.where(shape == 1, logarithmic, exponential))
