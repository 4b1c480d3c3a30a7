"""A network and a loss of your own: any torch module, and a `forward` that gives named losses."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

import audioinv as ai

RATE, SECONDS = 8000, 0.25


class Network(nn.Module):
    """Spectra (B, 1, bins, frames) -> features (B, 32)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(1, 16, 3, 2), nn.BatchNorm2d(16), nn.ReLU()),
            *(nn.Conv2d(16, 32, 3, 2), nn.BatchNorm2d(32), nn.ReLU()),
        )

    def forward(self, maps: Tensor) -> Tensor:
        return self.layers(maps).mean((2, 3))


class BarlowTwins(ai.Objective):
    """Views correlate feature by feature (Zbontar et al., ICML 2021)."""

    def __init__(self, encoder: ai.Encoder, bank: ai.Bank) -> None:
        super().__init__(bank)
        self.encoder = encoder
        self.head = nn.Sequential(nn.Linear(32, 64), nn.BatchNorm1d(64, affine=False))

    def forward(self, shown: ai.Shown, corner: Tensor) -> dict[str, Tensor]:
        z1, z2 = self.head(self.encoder(torch.cat(shown.views), corner)).chunk(2)
        correlation = z1.T @ z2 / len(z1)
        unlike = correlation - torch.eye(64, device=z1.device)
        alike = unlike.diagonal().square().sum()
        return {"alike": alike, "redundancy": 5e-3 * (unlike.square().sum() - alike)}


def main(run: Path, steps: int = 100) -> ai.Encoder:
    """Pre-trains into `run`."""
    sounds = torch.randn(256, int(RATE * SECONDS), generator=torch.Generator().manual_seed(0)) / 8
    audio = ai.modality("audio")
    bank = audio.bank(sample_rate=RATE, names=["fade", "time_mask"])
    front = audio.frontend("log_mel", sample_rate=RATE, clip_s=SECONDS, n_fft=512, hop=128)
    encoder = ai.Encoder(front, Network(), "norm", bank.space)
    ai.pretrain(encoder, bank, sounds, run, steps=steps, batch_size=64, objective=BarlowTwins)
    return ai.load_encoder(run / "encoder", Network())  # its code is not in the files


if __name__ == "__main__":
    print(main(Path(sys.argv[1] if len(sys.argv) > 1 else "exp/example_network")))
