"""Additive white noise."""

from __future__ import annotations

import torch
from torch import Tensor

from audioinv.audio.augment import kernels
from audioinv.audio.augment.noise_bank import OFFSET, noise_at, read_noise, sample_offsets
from audioinv.audio.augment.signal import in_parts, rms
from audioinv.core.augmentation import Augmentation, Parameter, check_range, working


class WhiteNoise(Augmentation):
    """Adds Gaussian noise at a signal-to-noise ratio.

    Args:
        min_snr_db, max_snr_db: what `sample` draws from, within -60 to 120 dB.

    Raises:
        UserError: a range that is not allowed.
    """

    name = "white_noise"

    def __init__(self, min_snr_db: float = 3.0, max_snr_db: float = 30.0) -> None:
        check_range("white_noise", min_snr_db, max_snr_db, (-60, 120), "dB")
        self.parameters = (
            Parameter("snr_db", "dB", min_snr_db, max_snr_db, float("inf")),
            OFFSET,
        )

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Uniform SNR in dB (column 0) and a place in the noise bank (column 1)."""
        rows = super().sample(n, generator)
        rows[:, 1] = sample_offsets(n, generator)
        return rows

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        """Adds noise to `x` (B, T) at `params` (B, 2); differentiable in `x` and `snr_db`."""
        clean = working(x)
        if kernels.applies(clean, params):
            bank, first = noise_at(params[:, 1], x.shape[-1], clean.dtype)
            return kernels.add_noise(clean, bank, first, params[:, 0]).to(x.dtype)
        return in_parts(_with_noise, clean, params).to(x.dtype)


def _with_noise(x: Tensor, params: Tensor) -> Tensor:
    return add_at_snr(x, read_noise(params[:, 1], x.shape[-1], x.dtype), params[:, :1])


def add_at_snr(x: Tensor, noise: Tensor, snr_db: Tensor) -> Tensor:
    """`x` plus `noise`, both (B, T), scaled for a power ratio of exactly `snr_db` (B, 1)."""
    if kernels.applies(x, noise, snr_db):
        first = torch.arange(0, noise.numel(), noise.shape[-1])
        return kernels.add_noise(x, noise.flatten(), first, snr_db[:, 0])
    gain = rms(x) / rms(noise) * 10 ** (-snr_db / 20)
    return torch.addcmul(x, noise, gain.to(x.dtype))
