"""Fade in and fade out."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from audioinv.audio.augment import kernels
from audioinv.audio.augment.signal import in_parts
from audioinv.core.augmentation import Augmentation, Parameter, check_range

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
        return in_parts(lambda x, own: x * self.factor(own, x.shape[-1]).to(x.dtype), x, params)

    def factor(self, params: Tensor, length: int) -> Tensor:
        """What a clip of `length` samples is multiplied by, (B, length)."""
        fade_in, fade_out, shape = params.unbind(1)
        if kernels.applies(params) and params.dtype == torch.float32:
            return kernels.fades(fade_in * length, fade_out * length, shape, length, _tables())
        if params.device.type != "cpu" or kernels.traced():
            rise, fall = (_every_gain(p * length, shape, length) for p in (fade_in, fade_out))
            return rise * fall.flip(-1)
        rise = _gains(fade_in * length, shape, length)
        fall = _gains(fade_out * length, shape, length).flip(-1)
        rise = F.pad(rise, (0, length - rise.shape[-1]), value=1.0)
        return rise * F.pad(fall, (length - fall.shape[-1], 0), value=1.0)


def _gains(samples: Tensor, shape: Tensor, length: int) -> Tensor:
    """Gains (B, n) of fades over `samples` (B,), from 0 at its first sample to 1 at its last.

    n is the longest of them. After the end of a fade its gain is 1.
    """
    u = _passed(samples, min(length, math.ceil(float(samples.detach().max()))))
    rows = [(shape == k).nonzero().flatten() for k in range(len(CURVES))]
    gains = [curve(u[own]) for curve, own in zip(CURVES, rows, strict=True)]
    return torch.cat(gains)[torch.cat(rows).argsort()]


def _every_gain(samples: Tensor, shape: Tensor, length: int) -> Tensor:
    """As `_gains`, (B, length): more work, but no size and no choice of rows to wait for."""
    u = _passed(samples, length)
    linear, logarithmic, exponential = (curve(u) for curve in CURVES)
    others = torch.where((shape == 1)[:, None], logarithmic, exponential)
    return torch.where((shape == 0)[:, None], linear, others)


def _passed(samples: Tensor, n: int) -> Tensor:
    """How far fades over `samples` (B,) are, 0 to 1, at the samples 0 ... n - 1; (B, n)."""
    fades = (samples > 1)[:, None]
    time = torch.arange(n, device=samples.device, dtype=samples.dtype)
    steps = torch.where(fades, samples[:, None] - 1, 1)
    start = torch.where(fades, 0, 1).to(steps.dtype)  # where there is no fade, 1 at once
    return (time / steps + start).clamp_max(1)


def _linear(u: Tensor) -> Tensor:
    return u


def _logarithmic(u: Tensor) -> Tensor:
    return (1 + torch.log10(0.1 + u)).clamp_max(1)


def _exponential(u: Tensor) -> Tensor:
    return u * torch.exp2(u - 1)


CURVES = (_linear, _logarithmic, _exponential)


@lru_cache(maxsize=1)
@torch.inference_mode(False)  # what is cached must serve training too
def _tables() -> Tensor:
    """The curves (3, 8193): lines between their points are within 1e-7 of them."""
    u = torch.linspace(0, 1, 8193, dtype=torch.float64)
    return torch.stack([curve(u) for curve in CURVES]).float()
