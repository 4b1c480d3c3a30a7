"""Augmentations of your own: functions of clips and parameters, on clips of any kind.

Here clips are series of two channels, such as a sensor's. Which of gain, drift and dropped channels
a task should not see is what its descriptor says.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

import audioinv as ai


def drift(x: Tensor, params: Tensor) -> Tensor:
    """A line of a height, the same in both channels, added to series (B, 2, samples)."""
    return x + params[:, 0, None, None] * torch.linspace(-1, 1, x.shape[-1], device=x.device)


def drop(x: Tensor, params: Tensor) -> Tensor:
    """One channel silent: the first for places below 0.5, the second above; -1 leaves both."""
    second = params[:, 0] >= 0.5
    return x * torch.stack([second, ~second], 1)[..., None]


class Series(nn.Module):
    """The front end: series (B, 2, samples) as maps (B, 2, 1, samples)."""

    def __init__(self) -> None:
        super().__init__()
        self.output_size = (2, 1, 128)  # of a clip's maps: channels, height, width
        self.config = {"name": "series"}

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, None]


def main(run: Path, steps: int = 100) -> None:
    """Pre-trains into `run`."""
    decibels = ai.Parameter("level", "dB", low=-12, high=12, identity=0)
    place = ai.Parameter("place", "", 0, 1, identity=-1, differentiable=False, quantity=False)
    gain = ai.augmentation(lambda x, p: x * 10 ** (p[:, :1, None] / 20), [decibels], name="gain")
    height = ai.Parameter("height", "", low=-1, high=1, identity=0)
    bank = ai.Bank([gain, ai.augmentation(drift, [height]), ai.augmentation(drop, [place])])

    x = torch.randn(256, 2, 128, generator=torch.Generator().manual_seed(0)).cumsum(2) / 8
    network = nn.Sequential(nn.Conv2d(2, 16, (1, 9), 4), nn.BatchNorm2d(16), nn.ReLU())
    pooled = nn.Sequential(network, nn.AdaptiveAvgPool2d((1, 4)), nn.Flatten())
    encoder = ai.Encoder(Series(), pooled, "norm", bank.space)
    ai.pretrain(encoder, bank, x, run, steps=steps, batch_size=64)
    print(encoder.at({"gain": 0, "drift": 1, "drop": 1})(x[:4]).shape)  # sensitive to gain alone


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "exp/example_augmentation"))
