"""The gradient penalty in the training loop, against SimCLR written out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric import Fabric
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator, seeded
from audioinv.core.bank import ALL
from audioinv.core.encoder import AmortisedEncoder
from audioinv.core.objectives import nt_xent
from audioinv.core.penalty import (
    GradientPenalty,
    gradient_penalty,
)
from audioinv.core.projector import Projector
from audioinv.training.loop import PretrainConfig, pretrain
from audioinv.training.optimiser import set_learning_rate
from audioinv.training.order import batch_indices, draw_corner
from audioinv.training.rank_one import RankOneAdam
from audioinv.training.state import checkpoints
from tests.core.plain_frontend import PlainFrontend
from tests.core.small_pretraining import SIZE, equal
from tests.core.warped import make_bank, tracked


class Clips:
    def __init__(self) -> None:
        self.x = torch.randn(24, 1, 16, 12, generator=generator(0, "clips"))

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, indices: Tensor, generator: torch.Generator, own: slice) -> Tensor:
        return self.x[indices[own]]


def make_encoder(conditioning: str = "hyper") -> AmortisedEncoder:
    options = {"layers": [1, 1, 1, 1], "stem_type": "deep", "stem_width": 4}
    backbone = {"name": "resnet18", "width": 0.125, "dim": 12, "options": options}
    with seeded(0, "encoder"):
        return AmortisedEncoder(
            PlainFrontend(SIZE), backbone, {"name": conditioning, "bases": 2}, make_bank().space
        )


def settings(**changed: Any) -> PretrainConfig:
    small = {
        "steps": 6, "batch_size": 8, "warmup_steps": 2, "checkpoint_every": 3, "log_every": 1,
        "projector_hidden": 16, "projector_dim": 8, "penalty_draws": 4, "penalty_clamp": 100.0,
    }  # fmt: skip
    return PretrainConfig(**{**small, **changed})


def train(run: Path, config: PretrainConfig, **options: Any) -> AmortisedEncoder:
    fabric = Fabric(accelerator="cpu", devices=1)
    encoder = options.pop("encoder", None) or make_encoder()
    return pretrain(encoder, make_bank(), Clips(), config, run, fabric, 0, **options)


def plain_simclr(config: PretrainConfig) -> AmortisedEncoder:
    """SimCLR written out, knowing nothing of a penalty."""
    encoder, bank, clips = make_encoder(), make_bank(), Clips()
    with seeded(0, "projector"):
        projector = Projector(bank.space, encoder.dim, 16, 8)
    parameters = [*encoder.parameters(), *projector.parameters()]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimiser = RankOneAdam(groups, decoupled_weight_decay=True)
    encoder.train(), projector.train()
    for step in range(config.steps):
        set_learning_rate(optimiser, config, step)
        descriptor = draw_corner(bank, config, 0, step)
        x = clips.batch(batch_indices(24, 8, 0, step), generator(0, "unused"), ALL)
        with torch.no_grad():
            views, _ = bank.views(x, descriptor, generator(0, "views", step, 0))
        z = projector(encoder(torch.cat(views), descriptor), descriptor)
        optimiser.zero_grad()
        nt_xent(*z.chunk(2), config.temperature).backward()
        optimiser.step()
    return encoder.eval()


def test_without_weight_the_run_is_plain_simclr_bit_for_bit(tmp_path: Path) -> None:
    off = train(tmp_path, settings(penalty=0.0))
    assert equal(off, plain_simclr(settings()))
    on = train(tmp_path / "on", settings(penalty=0.1))
    assert not equal(off, on)
    rows = {
        name: [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
        for name in ("metrics.jsonl", "on/metrics.jsonl")
    }
    assert not any("penalty" in row for row in rows["metrics.jsonl"])
    assert all(row["penalty"] > 0 for row in rows["on/metrics.jsonl"])
    first = [row[0] for row in rows.values()]
    assert first[1]["loss"] - first[0]["loss"] == pytest.approx(0.1 * first[1]["penalty"], abs=1e-5)


def test_running_statistics_see_each_batch_once(tmp_path: Path) -> None:
    states = []
    for weight in (0.0, 0.1):
        run = tmp_path / str(weight)
        train(run, settings(penalty=weight, steps=1))
        states.append(torch.load(checkpoints(run / "checkpoints")[-1], weights_only=True)["model"])
    names = [k for k in states[0] if "running_" in k or "num_batches" in k]
    assert len(names) > 10
    assert all(torch.equal(states[0][k], states[1][k]) for k in names)
    assert not all(torch.equal(states[0][k], states[1][k]) for k in states[0])


def test_a_resumed_run_with_penalty_ends_with_the_same_weights(tmp_path: Path) -> None:
    def stop(done: int, loss: float, lr: float) -> None:
        if done == 4:
            raise KeyboardInterrupt

    config = settings(penalty=0.1, penalty_on=["other"])
    whole = train(tmp_path / "whole", config)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", config, progress=stop)
    assert equal(train(tmp_path / "run", config), whole)


@pytest.mark.slow
def test_the_penalty_lowers_what_it_penalises(tmp_path: Path) -> None:
    """On clips that were not trained on."""
    bank = make_bank()
    sampler = GradientPenalty(bank, 12, 1.0, 20)
    x = torch.randn(64, 1, 16, 12, generator=generator(1, "held out"))
    found = []
    for weight in (0.0, 3.0):
        encoder = train(tmp_path / str(weight), settings(penalty=weight, steps=60, lr=3e-3))
        view, params, draws = tracked(bank, x, torch.ones(2), sampler)
        found.append(gradient_penalty(encoder(view, torch.ones(2)), params, draws).item())
    assert found[1] < 0.5 * found[0]


def test_momentum_contrast_has_no_penalty(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"pretrain\.penalty is 0\.1; it needs objective=simclr"):
        train(tmp_path, settings(penalty=0.1, objective="moco_v3"))
