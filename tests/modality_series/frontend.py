"""Series (B, 4, n) -> log power of short stretches, (B, 4, bins, frames)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from audioinv.data.fitting import Fitted

WINDOW, HOP = 32, 8


class Spectra(Fitted, nn.Module):
    """One mean and one deviation for all values.

    Args:
        series_rate: in Hz. window_s: seconds that are seen.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, series_rate: int = 64, window_s: float = 2.0) -> None:
        super().__init__()
        self.n_samples = round(series_rate * window_s)
        self.config: dict[str, Any] = {
            "name": "spectra", "series_rate": series_rate, "window_s": window_s,
        }  # fmt: skip
        self.output_size = (4, WINDOW // 2 + 1, (self.n_samples - WINDOW) // HOP + 1)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("std", torch.ones(()))

    def power(self, x: Tensor) -> Tensor:
        frames = x.unfold(2, WINDOW, HOP)
        return (torch.fft.rfft(frames).abs().square() + 1e-3).log().transpose(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return (self.power(x) - self.mean) / self.std

    @torch.no_grad()
    def fit_statistics(self, batches: Iterable[Tensor]) -> dict[str, float]:
        values = torch.cat([self.power(x).flatten() for x in batches])
        return self.set_statistics(float(values.mean()), float(values.std()))

    def set_statistics(self, mean: float, std: float) -> dict[str, float]:
        self.mean.fill_(mean)
        self.std.fill_(std)
        return {"mean": mean, "std": std}
