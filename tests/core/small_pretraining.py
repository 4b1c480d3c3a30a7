"""A small pre-training: an encoder, a bank and clips of its own, and the real loop."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from audioinv.base.randomness import generator, seeded
from audioinv.core.augmentation import Augmentation, Parameter
from audioinv.core.bank import ALL, AugmentationBank
from audioinv.core.descriptor import DescriptorSpace
from audioinv.core.encoder import AmortisedEncoder
from audioinv.training.loop import (
    PretrainConfig,
    pretrain,
)
from tests.core.plain_frontend import PlainFrontend

N = 24
SIZE = (1, 16, 12)


class Gain(Augmentation):
    """x * gain, or NaN for a bomb."""

    def __init__(self, name: str, bomb: bool = False) -> None:
        self.name = name
        self.bomb = bomb
        self.parameters = (Parameter("gain", "", 0.5, 1.5, 1.0),)

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        return x * params[:, :, None, None] * (math.nan if self.bomb else 1)


class Clips:
    """`N` fixed random maps; the generator adds a little noise, as a crop would."""

    def __init__(self, n: int = N) -> None:
        self.x = torch.randn(n, *SIZE, generator=generator(0, "clips"))

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, indices: Tensor, generator: torch.Generator, own: slice = ALL) -> Tensor:
        x = self.x[indices]
        return (x + 0.05 * torch.randn(x.shape, generator=generator))[own]


def make_bank(bomb: bool = False) -> AugmentationBank:
    space = DescriptorSpace.single(["gain", "other"])
    return AugmentationBank([Gain("gain"), Gain("other", bomb)], space)


def make_encoder(seed: int = 0) -> AmortisedEncoder:
    backbone = {
        "name": "resnet18",
        "width": 0.125,
        "dim": 12,
        "options": {"layers": [1, 1, 1, 1], "stem_type": "deep", "stem_width": 4},
    }
    conditioning = {"name": "hyper", "bases": 2}
    with seeded(seed, "encoder"):
        return AmortisedEncoder(PlainFrontend(SIZE), backbone, conditioning, make_bank().space)


def settings(**changed: Any) -> PretrainConfig:
    small = {
        "steps": 9, "batch_size": 8, "warmup_steps": 2, "checkpoint_every": 4, "log_every": 2,
        "projector_hidden": 16, "projector_dim": 8,
    }  # fmt: skip
    return PretrainConfig(**{**small, **changed})


def train(
    run: Path,
    config: PretrainConfig,
    encoder: AmortisedEncoder | None = None,
    bank: AugmentationBank | None = None,
    clips: Clips | None = None,
    progress: Callable[[int, float, float], None] = lambda *_: None,
    stop: Callable[[], bool] = lambda: False,
) -> AmortisedEncoder:
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    return pretrain(
        encoder or make_encoder(), bank or make_bank(), clips or Clips(), config, run, fabric,
        0, progress, stop,
    )  # fmt: skip


def interrupt_after(step: int) -> Callable[[int, float, float], None]:
    def progress(done: int, loss: float, lr: float) -> None:
        if done == step:
            raise KeyboardInterrupt

    return progress


def logged(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def equal(a: nn.Module, b: nn.Module) -> bool:
    one, two = a.state_dict(), b.state_dict()
    return one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)
