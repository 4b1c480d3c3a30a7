"""What InvCLR's gradient penalty costs a training step, and where."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from audioinv.base.randomness import generator, seeded
from audioinv.core.augmentation import Augmentation
from audioinv.core.bank import ALL, AugmentationBank
from audioinv.core.encoder import AmortisedEncoder
from audioinv.training.config import PretrainConfig
from audioinv.training.objective import make_objective
from audioinv.training.optimiser import make_optimiser
from benchmarks.measure import Comparison, Ratio, Setup
from benchmarks.sounds import Task
from vision.augment import build_bank as build_image_bank
from vision.frontend import Pixels

NARROW = {"name": "resnet18", "width": 0.25, "stem": "no_pool", "options": {"layers": [1] * 4}}
MOST = 3.0  # times a step without it


def penalty(setup: Setup) -> Iterator[Comparison]:
    """A training step of SimCLR, all augmentations on, without the gradient penalty, with it on the
    augmentations it takes by itself, and with it on all that have differentiable parameters; then
    the parts of the first two. The encoder is that of the recipes `fsdd` and `cifar10`, without
    conditioning; the step is views, forward pass, backward pass and AdamW.
    """
    for work, bank, encoder, x in (sounds(setup), images(setup)):
        able = [name for name, a in bank.augmentations.items() if has_free_parameters(a)]
        steps = {
            "without": Step(bank, encoder, x),
            "penalty": Step(bank, encoder, x, 0.1),
            "penalty on all": Step(bank, encoder, x, 0.1, able),
        }
        ratios = [
            Ratio("penalty", "without", most=MOST),
            Ratio("penalty on all", "without", most=MOST),
        ]
        yield Comparison("training step", work, steps, ratios)
        parts: dict[str, Callable[[], object]] = {}
        for name in ("without", "penalty"):
            parts |= {f"{name}: {part}": call for part, call in steps[name].parts().items()}
        yield Comparison("its parts", work, parts)


def sounds(setup: Setup) -> tuple[Any, AugmentationBank, AmortisedEncoder, Tensor]:
    """Sizes, bank, encoder and a batch like those of FSDD."""
    task = Task(8000, 0.512, 128, 512, 128, 40)
    task = Task(8000, 0.128, 4, 256, 128, 16) if setup.miniature else task
    bank = task.bank()
    return task.work(), bank, encoder_of(task.frontend(setup), bank, "both"), task.clips(setup)


def images(setup: Setup) -> tuple[Any, AugmentationBank, AmortisedEncoder, Tensor]:
    """Sizes, bank, encoder and a batch like those of CIFAR-10, augmented as InvCLR does."""
    n = 4 if setup.miniature else 128
    bank = build_image_bank(["crop", "horizontal_flip", "colour_jitter", "grayscale"])
    x = torch.rand(n, 3, 32, 32, generator=generator(0, "benchmark")).to(setup.device)
    work = {"batch": n, "images": "32 x 32"}
    return work, bank, encoder_of(Pixels(32), bank, "global").to(setup.device), x


def encoder_of(frontend: Any, bank: AugmentationBank, pool: str) -> AmortisedEncoder:
    """A narrow ResNet without conditioning."""
    backbone = {**NARROW, "pool": pool, "dim": 256}
    with seeded(0, "benchmark"):
        return AmortisedEncoder(frontend, backbone, {"name": "none"}, bank.space)


def has_free_parameters(augmentation: Augmentation) -> bool:
    """Whether there is anything to penalise."""
    return any(p.differentiable and p.low < p.high for p in augmentation.parameters)


@dataclass
class Step:
    """One training step at a time, whole or in parts that follow each other."""

    bank: AugmentationBank
    encoder: AmortisedEncoder
    x: Tensor
    weight: float = 0.0
    names: list[str] | None = None

    def __post_init__(self) -> None:
        config = PretrainConfig(
            penalty=self.weight, penalty_on=self.names, penalty_clamp=math.inf, penalty_longest=4.0
        )
        self.method = make_objective(self.encoder, self.bank, config, 0).to(self.x.device).train()
        self.optimiser = make_optimiser(self.method, config)
        self.trained = list(self.method.parameters())
        self.total, self.own = len(self.x), ALL
        self.corner = self.bank.space.all_on()

    def __call__(self) -> None:
        """A whole step."""
        for part in self.parts().values():
            part()

    def parts(self) -> dict[str, Callable[[], object]]:
        """The parts of a step, in order."""
        return {"views": self.make_views, "forward": self.forward, "backward": self.backward}

    @torch.no_grad()
    def make_views(self) -> None:
        """Two views, and what is random in the penalty."""
        self.shown = self.method.views(self.x, self.corner, self)

    def generator(self, purpose: str, *key: int) -> torch.Generator:
        """The same draws at every step."""
        return generator(0, "views")

    def forward(self) -> None:
        """Projections, the penalty, the loss."""
        losses = self.method(self.shown, self.corner.to(self.x.device))
        self.loss = self.method.total(losses)

    def backward(self) -> None:
        """Gradients and the optimiser's step."""
        self.optimiser.zero_grad()
        self.loss.backward(inputs=self.trained)
        self.optimiser.step()
