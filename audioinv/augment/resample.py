"""Band-limited resampling with a ratio of its own for every example."""

from __future__ import annotations

import math

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from audioinv.augment import kernels

OVERSAMPLING = 2
TRANSITION = 0.04  # width of the low-pass' edge, as a fraction of the band
MARGIN = 1024  # samples of silence in which the low-pass rings out


def resample(x: Tensor, ratio: Tensor, length: int) -> Tensor:
    """Reads `x` (B, T) at `ratio * n` for n = 0 ... length - 1; zero beyond its end.

    A Fourier-domain low-pass at the lower of both Nyquist frequencies and twofold oversampling,
    then a cubic B-spline whose prefilter is part of the same product (Unser, "Splines: a perfect
    fit for signal and image processing", 1999). Differentiable in `ratio` (B,), linear in `x`.

    Returns:
        (B, length)
    """
    knots = _spline_coefficients(x, ratio)
    last = OVERSAMPLING * x.shape[-1] - 1
    if kernels.applies(knots, ratio):
        return kernels.spline(knots, OVERSAMPLING * ratio, last, length)
    # in double precision: single has 1/64 of a sample left after five seconds
    steps = torch.arange(length, device=x.device, dtype=torch.float64)
    position = steps * (OVERSAMPLING * ratio)[:, None]
    whole = position.detach().floor()
    beyond = (whole - last).clamp_min(0)  # one step beyond the last is four, into the silence
    index = (whole + 3 * beyond).clamp_max(last + 4).long()
    return _spline(knots, index, (position - whole).to(x.dtype))


def _spline_coefficients(x: Tensor, ratio: Tensor) -> Tensor:
    """Coefficients (B, 2 T + 7) of the spline through `x` (B, T), the last four of them zero.

    Entry k + 1 is centred on sample k / 2.
    """
    n = next_fast_len(x.shape[-1] + MARGIN, real=True)
    spectrum = torch.fft.rfft(x, n)
    band = torch.arange(spectrum.shape[-1], device=x.device, dtype=x.dtype) * (2 / n)  # 1: Nyquist
    cut = (1 / ratio).clamp_max(1 + TRANSITION)[:, None]  # from here on nothing passes
    passed = ((cut - band) / TRANSITION).clamp(0, 1)
    prefilter = 3 / (2 + torch.cos(band * math.pi / OVERSAMPLING))
    dense = torch.fft.irfft(spectrum * (OVERSAMPLING * passed * prefilter), OVERSAMPLING * n)
    within = dense[:, : OVERSAMPLING * x.shape[-1] + 2]
    return torch.cat([dense[:, -1:], within, within.new_zeros(len(x), 4)], dim=1)


def _spline(knots: Tensor, index: Tensor, t: Tensor) -> Tensor:
    """The uniform cubic B-spline of `knots` (B, N) at `index` + `t`, both (B, L), 0 <= t < 1."""
    a, b, c, d = (knots.gather(-1, index + j) for j in range(4))
    cubic = (d - a) / 6 + (b - c) / 2
    square = (a + c) / 2 - b
    return ((cubic * t + square) * t + (c - a) / 2) * t + (a + 4 * b + c) / 6
