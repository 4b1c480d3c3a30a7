"""Additive noise whose power falls or rises with frequency."""

from __future__ import annotations

import torch
from torch import Tensor

from audioinv.audio.augment.noise_bank import OFFSET, read_noise, sample_offsets
from audioinv.audio.augment.signal import FOURIER_PART, fast_length, in_parts
from audioinv.audio.augment.white_noise import add_at_snr
from audioinv.core.augmentation import Augmentation, Parameter, check_range, working


class ColouredNoise(Augmentation):
    """Adds noise of power ~ f^-decay (amplitude ~ f^(-decay / 2)) at a signal-to-noise ratio.

    So decay -2 is violet noise, -1 blue, 0 white, 1 pink and 2 brown.

    Args:
        min_snr_db, max_snr_db: what `sample` draws from, within -60 to 120 dB.
        min_decay, max_decay: likewise, within -4 to 4.

    Raises:
        UserError: a range that is not allowed.
    """

    name = "coloured_noise"

    def __init__(
        self,
        min_snr_db: float = 3.0,
        max_snr_db: float = 30.0,
        min_decay: float = -2.0,
        max_decay: float = 2.0,
    ) -> None:
        check_range("coloured_noise snr_db", min_snr_db, max_snr_db, (-60, 120), "dB")
        check_range("coloured_noise decay", min_decay, max_decay, (-4, 4), "(power ~ f^-decay)")
        self.parameters = (
            Parameter("snr_db", "dB", min_snr_db, max_snr_db, float("inf")),
            Parameter("decay", "power ~ f^-decay", min_decay, max_decay, 0.0),
            OFFSET,
        )

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Uniform SNR and decay (columns 0, 1) and a place in the noise bank (column 2)."""
        rows = super().sample(n, generator)
        rows[:, 2] = sample_offsets(n, generator)
        return rows

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        """Adds noise to `x` (B, T) at `params` (B, 3); differentiable in `x`, `snr_db`, `decay`."""
        return in_parts(_with_noise, working(x), params, FOURIER_PART).to(x.dtype)


def _with_noise(x: Tensor, params: Tensor) -> Tensor:
    noise = coloured_noise(params[:, 1], params[:, 2], x.shape[-1], x.dtype)
    return add_at_snr(x, noise, params[:, :1])


def coloured_noise(decay: Tensor, offset: Tensor, length: int, dtype: torch.dtype) -> Tensor:
    """Noise (B, length) of power ~ f^-decay, made in the frequency domain; no mean, any level.

    Args:
        decay: (B,). offset: (B,) whole numbers, where to read the noise bank.
    """
    n = fast_length(max(length, 2))
    n_bins = n // 2
    white = torch.view_as_complex(read_noise(offset, 2 * n_bins, dtype).unflatten(-1, (-1, 2)))
    log_f = torch.linspace(1 / n_bins, 1, n_bins, device=decay.device, dtype=dtype).log()
    shaped = white * torch.exp(decay[:, None] / -2 * log_f).to(dtype)
    spectrum = torch.nn.functional.pad(shaped, (1, 0))  # nothing at 0 Hz
    return torch.fft.irfft(spectrum, n)[:, :length]
