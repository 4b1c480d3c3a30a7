"""What the audio benchmarks are run on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from audioinv.audio.augment import build_bank
from audioinv.audio.frontend import LogMel
from audioinv.base.randomness import generator
from audioinv.core.bank import AugmentationBank
from benchmarks.measure import Setup


@dataclass(frozen=True)
class Task:
    """A batch of clips and the front end over them."""

    sample_rate: int
    clip_s: float
    batch: int
    n_fft: int = 1024
    hop: int = 512
    n_bins: int = 128

    def clips(self, setup: Setup) -> Tensor:
        """Pink noise with a slow envelope, (batch, n_samples): no bin of it is silent."""
        n = round(self.clip_s * self.sample_rate)
        white = torch.randn(self.batch, n, generator=generator(0, "benchmark"))
        frequency = torch.arange(1, n // 2 + 2).sqrt()
        pink = torch.fft.irfft(torch.fft.rfft(white) / frequency, n)
        rise = torch.linspace(0.2, 1, n)
        return (pink * rise / pink.abs().max()).to(setup.device)

    def frontend(self, setup: Setup) -> LogMel:
        """Log-mel of this task's sizes."""
        made = LogMel(self.sample_rate, self.clip_s, self.n_fft, self.hop, self.n_bins)
        return made.to(setup.device)

    def bank(self) -> AugmentationBank:
        """All seven augmentations, every one acting on every clip."""
        return build_bank(self.sample_rate)

    def work(self) -> dict[str, Any]:
        """The sizes, for the tables."""
        return {"batch": self.batch, "clip": f"{self.clip_s:g} s at {self.sample_rate} Hz"}


def tasks(setup: Setup) -> tuple[Task, ...]:
    """One and five seconds at 16 kHz (MT-SLVR's front end), and the FSDD recipe's half second."""
    if setup.miniature:
        return (Task(8000, 0.128, 4, 256, 128, 16),)
    return (Task(16000, 1.0, 64), Task(16000, 5.0, 64), Task(8000, 0.512, 128, 512, 128, 40))
