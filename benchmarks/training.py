"""Where the time of a training step goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor

import audioinv.conf
from audioinv.audio.augment.fused import FusedBank
from audioinv.base.randomness import seeded
from audioinv.core.encoder import AmortisedEncoder
from audioinv.core.objective import Shown
from audioinv.training.config import PretrainConfig
from audioinv.training.objective import make_objective
from audioinv.training.optimiser import make_optimiser
from benchmarks.augmenting import own_views
from benchmarks.measure import Comparison, Ratio, Setup
from benchmarks.sounds import Task, tasks

SETTINGS = Path(audioinv.conf.__path__[0]) / "conditioning"
CONDITIONINGS = ("hyper", "hyper_light", "norm")


def training_step(setup: Setup) -> Iterator[Comparison]:
    """The parts of a SimCLR step of a full-width ResNet-18, fp32, all seven augmentations on every
    clip: both views with their log-mel spectra (by the waveform route and by the fused one), the
    network forwards and backwards with loss, and the optimiser (AdamW). A step is those three. With
    the settings `conditioning=hyper` (8 full bases), `hyper_light` and `norm` (the default).
    """
    for task in tasks(setup)[:2]:
        for name in CONDITIONINGS:
            yield _training_step(task, name, setup)


def _training_step(task: Task, conditioning: str, setup: Setup) -> Comparison:
    x, bank, frontend = task.clips(setup), task.bank(), task.frontend(setup)
    width = 0.125 if setup.miniature else 1.0
    options: Any = OmegaConf.to_container(OmegaConf.load(SETTINGS / f"{conditioning}.yaml"))
    with seeded(0, "benchmark"):
        encoder = AmortisedEncoder(
            frontend, {"name": "resnet18", "width": width}, options, bank.space
        )
    config = PretrainConfig()
    model = make_objective(encoder, bank, config, 0).to(setup.device)
    optimiser = make_optimiser(model, config)
    maps = torch.cat([frontend(view) for view in own_views(bank, x)])
    all_on, fused = bank.space.all_on().to(setup.device), FusedBank(bank, frontend)

    def network(inputs: Tensor) -> None:
        optimiser.zero_grad()
        first, second = inputs.chunk(2)
        model.total(model(Shown((first, second), ({}, {})), all_on)).backward()

    contenders: dict[str, Callable[[], object]] = {
        "views": lambda: [frontend(view) for view in own_views(bank, x)],
        "fused views": lambda: own_views(fused, x),
        "network": lambda: network(maps),
        "optimiser": optimiser.step,
    }
    step, fused_step = "views + network + optimiser", "fused views + network + optimiser"
    ratios = [
        Ratio("views", step, most=0.10),
        Ratio("fused views", fused_step, most=0.10),
        Ratio("network", step, least=0.85),
        Ratio("network", fused_step, least=0.85),
    ]
    return Comparison(f"training step, {conditioning}", task.work(), contenders, ratios)
