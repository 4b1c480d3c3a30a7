"""Sounds with known properties, and measurements made another way than the augmentations work."""

from __future__ import annotations

import math
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor


@pytest.fixture(scope="session")
def sounds() -> ModuleType:
    """This module's functions."""
    return sys.modules[__name__]


def tone(frequency: float, sample_rate: int, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """A sine of amplitude 1, (n,)."""
    time = torch.arange(n, dtype=torch.float64) / sample_rate
    return torch.sin(2 * math.pi * frequency * time + 0.3).to(dtype)


def harmonic(f0: float, sample_rate: int, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Eight harmonics of falling level, (n,)."""
    partials = [tone(k * f0, sample_rate, n, dtype) / k for k in range(1, 9)]
    return torch.stack(partials).sum(0) / 3


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def measure_tone(y: Tensor, sample_rate: int) -> tuple[float, float]:
    """Frequency in Hz and amplitude of one sine: a least-squares fit refined by Newton's method."""
    signal = y.double().numpy()
    time = np.arange(len(signal)) / sample_rate
    window = np.hanning(len(signal))
    n_fft = 16 * len(signal)
    peak = np.abs(np.fft.rfft(signal * window, n_fft)).argmax() * sample_rate / n_fft

    def projection(f: float) -> float:
        return float(np.abs((signal * window) @ np.exp(-2j * np.pi * f * time)))

    step = sample_rate / n_fft / 4
    for _ in range(8):
        low, middle, high = projection(peak - step), projection(peak), projection(peak + step)
        peak += step * (low - high) / (2 * (low - 2 * middle + high))
        step /= 4
    return peak, 2 * projection(peak) / window.sum()


def cents(measured: float, expected: float) -> float:
    return abs(1200 * math.log2(measured / expected))


def db(amplitude_ratio: float) -> float:
    return 20 * math.log10(amplitude_ratio)


def spectral_similarity(a: Tensor, b: Tensor, n_fft: int = 512) -> float:
    """Cosine of the magnitude spectrograms of two signals (T,)."""
    window = torch.hann_window(n_fft)
    first, second = (
        torch.stft(s, n_fft, window=window, return_complex=True).abs().flatten() for s in (a, b)
    )
    return float(torch.cosine_similarity(first, second, dim=0))
