"""The pre-training loop: what it learns, logs, saves and refuses."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from scipy.stats import chisquare
from torch import nn

from audioinv.base.errors import UserError
from audioinv.core.bank import AugmentationBank
from audioinv.core.bases import Bases
from audioinv.core.descriptor import DescriptorSpace
from audioinv.training.optimiser import learning_rate, make_optimiser
from audioinv.training.order import batch_indices, draw_corner
from audioinv.training.processes import own_rows
from audioinv.training.state import checkpoints
from tests.core.small_pretraining import (
    Gain,
    N,
    logged,
    make_bank,
    make_encoder,
    settings,
    train,
)


def test_the_loss_goes_down(tmp_path: Path) -> None:
    encoder = train(tmp_path, settings(steps=80, lr=3e-3, log_every=1))
    losses = [row["loss"] for row in logged(tmp_path)]
    assert len(losses) == 80
    assert sum(losses[-5:]) / 5 < 0.6 * sum(losses[:3]) / 3
    assert not encoder.training


def test_metrics_and_progress_tell_the_same(tmp_path: Path) -> None:
    seen = []
    train(tmp_path, settings(), progress=lambda *row: seen.append(row))
    rows = logged(tmp_path)
    assert [row["step"] for row in rows] == [2, 4, 6, 8, 9]
    assert [done for done, _, _ in seen] == list(range(1, 10))
    for row in rows:
        assert (row["step"], row["loss"], row["lr"]) == seen[row["step"] - 1]
        assert row["lr"] == learning_rate(settings(), row["step"] - 1)
        corner = draw_corner(make_bank(), settings(), 0, row["step"] - 1)
        assert row["descriptor"] == corner.tolist()
    assert [p.name for p in checkpoints(tmp_path / "checkpoints")] == [
        "step_00000008.pt",
        "step_00000009.pt",
    ]
    assert list((tmp_path / "tensorboard").iterdir())


@pytest.mark.parametrize("corners", ["other", "leave_one_out"])
def test_there_is_a_queue_for_every_corner_trained(tmp_path: Path, corners: str) -> None:
    train(tmp_path, settings(objective="moco_v2", queue_size=8, corners=corners, steps=2))
    state = torch.load(checkpoints(tmp_path / "checkpoints")[-1], weights_only=True)["model"]
    assert len(state["queue.keys"]) == {"other": 1, "leave_one_out": 3}[corners]


def test_the_gradient_norm_is_logged_if_asked_for(tmp_path: Path) -> None:
    encoder, squares = make_encoder(), []

    def measure(*_: Any) -> None:
        gradients = [p.grad for p in encoder.parameters() if p.grad is not None]
        for bases in (p for p in encoder.parameters() if isinstance(p, Bases)):
            gradients += [torch.outer(h, g) for h, g in bases.factors or []]
        squares.append(sum(float(g.double().square().sum()) for g in gradients))

    config = settings(projector="none", log_every=1, log_gradient_norm=True)
    train(tmp_path, config, encoder, progress=measure)
    norms = [row["gradient_norm"] for row in logged(tmp_path)]
    assert norms == pytest.approx([math.sqrt(square) for square in squares], rel=1e-4)


def test_one_corner_may_be_trained_alone(tmp_path: Path) -> None:
    train(tmp_path, settings(steps=4, corners="other", log_every=1))
    assert {tuple(row["descriptor"]) for row in logged(tmp_path)} == {(0, 1)}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"steps": -1}, r"pretrain\.steps is -1; give 0 or more"),
        ({"batch_size": 1}, r"pretrain\.batch_size is 1; give 2"),
        ({"log_every": 0}, r"pretrain\.log_every is 0; give 1"),
        ({"checkpoint_every": 0}, r"pretrain\.checkpoint_every is 0; give 1"),
        ({"warmup_steps": -3}, r"pretrain\.warmup_steps is -3"),
        ({"schedule": "linear"}, "schedule is 'linear'; give cosine_after_warmup or"),
        ({"lr": 0.0}, r"pretrain\.lr is 0\.0; give a number above 0"),
        ({"lr": math.nan}, r"pretrain\.lr is nan"),
        ({"batch_size": N + 1}, "24 training clips cannot fill a batch of 25"),
        ({"optimiser": "rmsprop"}, "adamw, adam, sgd, lars"),
        ({"projector": "mlp"}, "shared, per_descriptor, conditioned"),
        ({"corners": "echo"}, "unknown component echo"),
        ({"temperature": 0.0}, "temperature"),
        ({"projector_layers": 0}, "projector_layers is 0; give 1 or more"),
        ({"dropout": 1.0}, r"dropout is 1\.0; give 0 or more, below 1"),
        ({"dropout": math.nan}, "dropout is nan"),
        ({"objective": "byol"}, "'byol'; give one of simclr, moco_v2, moco_v3"),
        ({"objective": "moco_v3", "momentum": 1.5}, r"momentum is 1\.5; give a value in \[0, 1\]"),
        ({"objective": "moco_v2", "momentum": math.nan}, r"pretrain\.momentum is nan"),
        ({"objective": "moco_v2", "queue_size": 4}, "queue_size is 4; give a multiple of the 8"),
        ({"objective": "moco_v2", "queue_size": 20}, "queue_size is 20; give a multiple of the 8"),
        ({"objective": "moco_v2", "queue_size": 0}, "queue_size is 0"),
        ({"not_finite": "pray"}, "'pray'; give stop or skip"),
        ({"skip_limit": 0}, r"pretrain\.skip_limit is 0; give 1"),
        ({"keep_checkpoints": 0}, r"pretrain\.keep_checkpoints is 0; give 1"),
        ({"descriptors": "any"}, "'any'; give same or per_process"),
        ({"descriptors": "per_process", "sync_batch_norm": True}, "descriptors=same"),
        (
            {"descriptors": "per_process", "objective": "moco_v2", "queue_size": 16},
            "descriptors=same",
        ),
        ({"objective": "moco_v3", "predict": "applied"}, "'applied'; it needs objective=simclr"),
        ({"objective": "moco_v3", "projector": "parameters"}, "'parameters'; it needs obj"),
    ],
)
def test_settings_that_cannot_work_are_explained(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        train(tmp_path, settings(**changed))
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("adamw", 2 * (1 - 0.1 * 0.5), 2 * (1 - 0.1 * 0.5) ** 2),
        ("adam", 2 - 0.1, 2 - 0.1 - 0.1 * 0.99998),
        ("sgd", 2 - 0.1 * 1.0, 1.9 - 0.1 * (0.9 * 1.0 + 0.95)),
    ],
)
def test_decay_in_closed_form(name: str, first: float, second: float) -> None:
    """Two steps without a gradient, rate 0.1, decay 0.5, from a weight of 2."""
    model = nn.Linear(1, 1)
    nn.init.constant_(model.weight, 2.0)
    nn.init.constant_(model.bias, 2.0)
    optimiser = make_optimiser(model, settings(optimiser=name, lr=0.1, weight_decay=0.5))
    for expected in (first, second):
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimiser.step()
        assert model.weight.item() == pytest.approx(expected, abs=1e-3 if name == "adam" else 1e-6)
        assert model.bias.item() == 2.0


def test_learning_rate_in_closed_form() -> None:
    config = settings(steps=110, warmup_steps=10, lr=0.4)
    rates = [learning_rate(config, step) for step in range(111)]
    assert rates[:10] == pytest.approx([0.04 * (k + 1) for k in range(10)])
    assert rates[10] == 0.4
    assert rates[60] == pytest.approx(0.2)
    assert rates[35] == pytest.approx(0.4 * (1 + math.sqrt(0.5)) / 2)
    assert rates[110] == pytest.approx(0, abs=1e-12) and rates[109] > 0
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))
    assert learning_rate(settings(steps=5, warmup_steps=0), 0) == settings().lr
    assert learning_rate(settings(steps=5, warmup_steps=5), 4) == settings().lr


def test_a_cosine_from_the_start_is_bounded_by_the_warm_up() -> None:
    """The lower of a ramp and of a cosine over all steps."""
    told = {"steps": 50, "lr": 3.0, "schedule": "cosine_from_start"}
    rates = [learning_rate(settings(warmup_steps=10, **told), step) for step in range(50)]
    cosine = [1.5 * (1 + math.cos(math.pi * step / 50)) for step in range(50)]
    ramp = [3.0 * (step + 1) / 10 for step in range(50)]
    assert rates == pytest.approx([min(pair) for pair in zip(ramp, cosine, strict=True)])
    assert rates[8] == pytest.approx(2.7) and rates[10] == pytest.approx(2.71353, abs=1e-5)
    assert max(rates) < 3.0
    plain = [learning_rate(settings(warmup_steps=0, **told), step) for step in range(50)]
    assert plain == pytest.approx(cosine)


@pytest.mark.parametrize(
    ("n", "batch", "world"), [(24, 8, 1), (26, 8, 1), (24, 4, 2), (29, 4, 2), (31, 3, 4)]
)
def test_an_epoch_sees_no_clip_twice(n: int, batch: int, world: int) -> None:
    """Over all processes together, whatever is left over at the end."""
    ranks: list[Any] = [SimpleNamespace(world_size=world, global_rank=r) for r in range(world)]
    total = batch * world
    per_epoch = n // total
    epochs = []
    for epoch in range(3):
        steps = range(epoch * per_epoch, (epoch + 1) * per_epoch)
        drawn = [
            batch_indices(n, total, 0, step)[own_rows(batch, rank)]
            for step in steps
            for rank in ranks
        ]
        assert all(len(part) == batch for part in drawn)
        seen = torch.cat(drawn)
        assert len(seen.unique()) == len(seen) == per_epoch * total
        assert int(seen.min()) >= 0 and int(seen.max()) < n
        epochs.append(seen.tolist())
    assert epochs[0] != epochs[1] != epochs[2]
    again, other = (
        torch.cat([batch_indices(n, total, seed, step) for step in range(per_epoch)])
        for seed in (0, 1)
    )
    assert again.tolist() == epochs[0] != other.tolist()


@pytest.mark.parametrize(("corners", "sizes"), [("space", [1, 2, 3, 4]), ("leave_one_out", [3, 4])])
def test_the_ends_come_as_often_as_the_middle(corners: str, sizes: list[int]) -> None:
    """Every number of active components does; the corners that have it share that."""
    bank = AugmentationBank([Gain(name) for name in "abcd"], DescriptorSpace.single(list("abcd")))
    config = settings(corners=corners, corner_weights="ends")
    drawn = Counter(tuple(draw_corner(bank, config, 0, step).tolist()) for step in range(2000))
    count = Counter({size: sum(n for c, n in drawn.items() if sum(c) == size) for size in sizes})
    assert count.total() == 2000 and chisquare(list(count.values())).pvalue > 1e-3
    for size in sizes:
        alike = [drawn[c] for c in product((0.0, 1.0), repeat=4) if sum(c) == size]
        assert len(alike) == 1 or chisquare(alike).pvalue > 1e-3


def test_processes_share_a_corner_or_draw_their_own() -> None:
    def drawn(descriptors: str, rank: int) -> list[list[float]]:
        config = settings(descriptors=descriptors)
        return [draw_corner(make_bank(), config, 0, step, rank).tolist() for step in range(40)]

    assert drawn("same", 0) == drawn("same", 1) == drawn("per_process", 0)
    own = [drawn("per_process", rank) for rank in range(3)]
    assert own[0] != own[1] != own[2] != own[0]
    assert all({tuple(c) for c in corners} == {(0, 1), (1, 0), (1, 1)} for corners in own)
