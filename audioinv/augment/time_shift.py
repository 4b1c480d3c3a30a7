"""Circular time shift."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from audioinv.core.augmenting import check_range, restore, working
from audioinv.core.bank import Augmentation, Parameter


class TimeShift(Augmentation):
    """Moves a clip in time; what leaves at one end comes back at the other.

    Args:
        max_shift: the farthest shift either way, as a fraction of the clip, 0 to 1.

    Raises:
        UserError: `max_shift` outside its range.
    """

    name = "time_shift"
    first_order = False

    def __init__(self, max_shift: float = 0.5) -> None:
        check_range("time_shift", 0.0, max_shift, (0, 1), "of the clip")
        self.parameters = (Parameter("shift", "fraction of the clip", -max_shift, max_shift, 0.0),)

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        """Shifts `x` (B, T) by `params` (B, 1) of its length, later where positive.

        Whole samples are moved exactly; the rest of the shift is a linear phase (band-limited
        interpolation). Differentiable in both arguments.
        """
        clean = working(x)
        length = x.shape[-1]
        samples = params.double() * length
        whole = samples.detach().round()
        index = (torch.arange(length, device=x.device) - whole.long()) % length
        moved = clean.gather(-1, index)
        rest = samples - whole
        precision = length * torch.finfo(params.dtype).eps  # of the parameter, in samples
        return restore(moved, _delay(moved, rest), rest.abs() <= precision).to(x.dtype)


def _delay(x: Tensor, samples: Tensor) -> Tensor:
    """`x` (B, T) a fraction of a sample (B, 1) later, circularly."""
    spectrum = torch.fft.rfft(x)
    bins = torch.arange(spectrum.shape[-1], device=x.device)
    angle = (bins * (samples * (-2 * math.pi / x.shape[-1]))).to(x.dtype)
    return torch.fft.irfft(spectrum * torch.polar(torch.ones_like(angle), angle), x.shape[-1])
