"""Band-limited resampling with a ratio of its own for every example."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from audioinv.audio.augment import kernels
from audioinv.audio.augment.signal import fast_length

OVERSAMPLING = 2
TRANSITION = 0.04  # width of the low-pass' edge, as a fraction of the band
MARGIN = 384  # samples of silence in which the low-pass rings out


def resample(x: Tensor, ratio: Tensor, length: int) -> Tensor:
    """Reads `x` (B, T) at `ratio * n` for n = 0 ... length - 1; zero beyond its end.

    A Fourier-domain low-pass at the lower of both Nyquist frequencies and twofold oversampling,
    then a cubic B-spline whose prefilter is part of the same product (Unser, "Splines: a perfect
    fit for signal and image processing", 1999). Differentiable in `ratio` (B,), linear in `x`.

    Returns:
        (B, length)
    """
    ratio = ratio.to(x.device)
    by_kernels = kernels.applies(x, ratio)
    knots = _spline_coefficients(x, ratio, by_kernels)
    last = OVERSAMPLING * x.shape[-1] - 1
    if by_kernels:
        return kernels.spline(knots, OVERSAMPLING * ratio, last, length)
    # in double precision: single has 1/64 of a sample left after five seconds
    steps = torch.arange(length, device=x.device, dtype=torch.float64)
    position = steps * (OVERSAMPLING * ratio)[:, None]
    whole = position.detach().floor()
    beyond = (whole - last).clamp_min(0)  # one step beyond the last is four, into the silence
    index = (whole + 3 * beyond).clamp_max(last + 4).long()
    return _spline(knots, index, (position - whole).to(x.dtype))


def _spline_coefficients(x: Tensor, ratio: Tensor, by_kernels: bool) -> Tensor:
    """Coefficients (B, 2 T + 7) of the spline through `x` (B, T), the last four of them zero.

    Entry k + 1 is centred on sample k / 2. The kernels' have more entries, and need no zeros.
    """
    n = fast_length(x.shape[-1] + MARGIN)
    spectrum, gains = torch.fft.rfft(x, n), _gains(n, x.device, x.dtype)
    cut = (1 / ratio).clamp_max(1 + TRANSITION)  # from here on nothing passes
    if by_kernels:
        kernels.low_pass(spectrum, cut, TRANSITION, n / 2, gains)
        return torch.fft.irfft(spectrum, OVERSAMPLING * n)
    band = torch.arange(spectrum.shape[-1], device=x.device, dtype=x.dtype) * (2 / n)  # 1: Nyquist
    passed = ((cut[:, None] - band) / TRANSITION).clamp(0, 1).to(x.dtype)
    dense = torch.fft.irfft(spectrum * (passed * gains), OVERSAMPLING * n)
    return F.pad(dense[:, : OVERSAMPLING * x.shape[-1] + 3], (0, 4))


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # what is cached must serve training too
def _gains(n: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """What spectra (n // 2 + 1,) are multiplied by: oversampling, prefilter, and a delay by one."""
    angle = torch.arange(n // 2 + 1, dtype=torch.float64) * (2 * math.pi / (OVERSAMPLING * n))
    gains = torch.polar(3 * OVERSAMPLING / (2 + angle.cos()), -angle)
    return gains.to(device, torch.promote_types(dtype, torch.complex64))


def _spline(knots: Tensor, index: Tensor, t: Tensor) -> Tensor:
    """The uniform cubic B-spline of `knots` (B, N) at `index` + `t`, both (B, L), 0 <= t < 1."""
    a, b, c, d = (knots.gather(-1, index + j) for j in range(4))
    cubic = (d - a) / 6 + (b - c) / 2
    square = (a + c) / 2 - b
    return ((cubic * t + square) * t + (c - a) / 2) * t + (a + 4 * b + c) / 6
