"""Time mask: a stretch of the clip replaced by silence or noise."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from audioinv.audio.augment import kernels
from audioinv.audio.augment.noise_bank import OFFSET, noise_at, read_noise, sample_offsets
from audioinv.audio.augment.signal import rms
from audioinv.core.augmentation import Augmentation, Parameter, check_range, working

EDGE = 16  # samples over which the mask opens and closes
FILLS = ("zeros", "noise")


class TimeMask(Augmentation):
    """Replaces one stretch of a clip by zeros or by white noise of the clip's own level.

    Args:
        max_fraction: the longest mask, as a fraction of the clip, 0 to 1.

    Raises:
        UserError: `max_fraction` outside its range.
    """

    name = "time_mask"
    first_order = False

    def __init__(self, max_fraction: float = 1 / 8) -> None:
        check_range("time_mask", 0.0, max_fraction, (0, 1), "of the clip")
        self.parameters = (
            Parameter("start", "fraction of the clip", 0.0, 1.0, 0.0),
            Parameter("length", "fraction of the clip", 0.0, max_fraction, 0.0),
            Parameter("fill", " | ".join(FILLS), 0.0, 1.0, 0.0, False, False),
            OFFSET,
        )

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Uniform length, a start that keeps it in the clip, an equally likely fill, an offset."""
        rows = super().sample(n, generator)
        rows[:, 0] *= 1 - rows[:, 1]
        rows[:, 2] = torch.randint(len(FILLS), (n,), generator=generator)
        rows[:, 3] = sample_offsets(n, generator)
        return rows

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        """Masks `x` (B, T) by `params` (B, 4); differentiable in `x`, `start` and `length`.

        The edges are soft over 16 samples, centred on the start and the end of the mask.
        """
        clean = working(x)
        if kernels.applies(clean, params):
            bank, first = noise_at(params[:, 3], x.shape[-1], clean.dtype)
            return kernels.mask(clean, params, bank, first, EDGE).to(x.dtype)
        where = _region(params, x.shape[-1])
        part = clean.gather(-1, where)
        noise = read_noise(params[:, 3], x.shape[-1], clean.dtype, where[:, 0], where.shape[1])
        fill = noise * rms(clean) * (params[:, 2:3] != 0)
        masked = torch.lerp(part, fill, _mask(params, where, x.shape[-1]).to(clean.dtype))
        return clean.scatter(-1, where, masked).to(x.dtype)

    def factor(self, params: Tensor, length: int) -> Tensor:
        """What a clip of `length` samples is multiplied by before it is filled up, (B, length)."""
        ones = params.new_ones(len(params), length)
        if kernels.applies(params):
            silent = params * params.new_tensor([1.0, 1.0, 0.0, 0.0])
            return kernels.mask(ones, silent, ones[0], torch.zeros(len(ones)).long(), EDGE)
        where = _region(params, length)
        return ones.scatter(-1, where, 1 - _mask(params, where, length))


def _region(params: Tensor, length: int) -> Tensor:
    """The samples (B, S) of a clip of `length` outside which no mask changes anything."""
    if params.device.type != "cpu" or kernels.traced():  # the whole clip: nothing to wait for
        return torch.arange(length, device=params.device).expand(len(params), -1)
    start, longest = params.detach()[:, :1] * length, float(params.detach()[:, 1].max()) * length
    size = min(length, math.ceil(longest) + 2 * EDGE)
    first = (start - EDGE).floor().clamp(0, length - size).long()
    return first + torch.arange(size, device=params.device)


def _mask(params: Tensor, where: Tensor, length: int) -> Tensor:
    """1 inside the mask, 0 outside, at the samples `where` (B, S) of a clip of `length`.

    Its area is the length of the mask, so at length 0 it is 0.
    """
    since_start = where.to(params.dtype) + 0.5 - params[:, :1] * length
    return _smooth_step(since_start) - _smooth_step(since_start - params[:, 1:2] * length)


def _smooth_step(samples: Tensor) -> Tensor:
    """From 0 to 1 over EDGE samples around 0, with a continuous derivative."""
    u = (samples / EDGE + 0.5).clamp(0, 1)
    return u * u * (3 - 2 * u)
