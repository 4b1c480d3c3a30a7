"""Circular time shift."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from audioinv.audio.augment import kernels
from audioinv.audio.augment.signal import FOURIER_PART, in_parts
from audioinv.core.augmentation import Augmentation, Parameter, check_range, restore, working


class TimeShift(Augmentation):
    """Moves a clip in time; what leaves at one end comes back at the other.

    Args:
        max_shift: the farthest shift either way, as a fraction of the clip, 0 to 1.
        fractional: also move by fractions of a sample, which takes Fourier transforms, ten times as
            long. Without them a clip moves to the nearest sample, half of one off at most, with the
            gradient that fractions have there.

    Raises:
        UserError: `max_shift` outside its range.
    """

    name = "time_shift"
    first_order = False

    def __init__(self, max_shift: float = 0.5, fractional: bool = False) -> None:
        check_range("time_shift", 0.0, max_shift, (0, 1), "of the clip")
        self.fractional = fractional
        self.parameters = (Parameter("shift", "fraction of the clip", -max_shift, max_shift, 0.0),)

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        """Shifts `x` (B, T) by `params` (B, 1) of its length, later where positive.

        Whole samples are moved exactly; the rest of the shift, if it is wanted, is a linear phase
        (band-limited interpolation). Differentiable in both arguments.
        """
        return in_parts(self._shift, working(x), params, FOURIER_PART).to(x.dtype)

    def _shift(self, x: Tensor, params: Tensor) -> Tensor:
        length = x.shape[-1]
        samples = params.double() * length
        whole = samples.detach().round()
        moved = _roll(x, whole.long())
        wanted = params.requires_grad and torch.is_grad_enabled()
        if not (self.fractional or wanted):
            return moved
        rest = samples - (whole if self.fractional else samples.detach())
        precision = length * torch.finfo(params.dtype).eps  # of the parameter, in samples
        exact = rest.abs() <= precision
        if x.device.type == "cpu" and not wanted and exact.all():
            return moved
        return restore(moved, _delay(moved, rest), exact)


def _roll(x: Tensor, steps: Tensor) -> Tensor:
    """Every clip of `x` (B, T) by its own number of samples `steps` (B, 1) later, circularly."""
    if x.device.type == "cpu" and not kernels.traced():
        clips = zip(x, steps[:, 0].tolist(), strict=True)
        return torch.stack([clip.roll(n) for clip, n in clips])
    clock = torch.arange(x.shape[-1], device=x.device)
    return x.gather(-1, (clock - steps) % x.shape[-1])


def _delay(x: Tensor, samples: Tensor) -> Tensor:
    """`x` (B, T) a fraction of a sample (B, 1) later, circularly."""
    spectrum = torch.fft.rfft(x)
    angle = (samples * (-2 * math.pi / x.shape[-1])).to(x.dtype)
    return torch.fft.irfft(spectrum * _powers(angle, spectrum.shape[-1]), x.shape[-1])


def _powers(angle: Tensor, n: int) -> Tensor:
    """exp(i k `angle`) (B, n) for k = 0 ... n - 1 of angles (B, 1).

    As products of 128 fine and n / 128 coarse turns: n sines and cosines would take longer than
    the Fourier transforms around them.
    """
    k = torch.arange(128, device=angle.device, dtype=angle.dtype)
    coarse = torch.arange(0, n, 128, device=angle.device, dtype=angle.dtype)
    one = torch.ones_like(angle)
    turns = torch.polar(one, angle * coarse)[:, :, None] * torch.polar(one, angle * k)[:, None]
    return turns.flatten(1)[:, :n]
