"""What a step may add: accumulated batches, a clipped gradient, an average, a rate by batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric import Fabric
from safetensors.torch import load_file
from torch import Tensor, nn

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator, seeded
from audioinv.core.bases import release
from audioinv.core.encoder import AmortisedEncoder
from audioinv.core.objectives import nt_xent
from audioinv.core.projector import Projector
from audioinv.training import loop
from audioinv.training.config import PretrainConfig
from audioinv.training.optimiser import learning_rate, make_optimiser, set_learning_rate
from audioinv.training.order import batch_indices, draw_corner
from audioinv.training.start import pretrain
from audioinv.training.state import checkpoints
from tests.core.small_pretraining import (
    Clips,
    N,
    equal,
    interrupt_after,
    logged,
    make_bank,
    make_encoder,
    settings,
    train,
)


def train_64(run: Path, config: PretrainConfig) -> AmortisedEncoder:
    """In double precision, so that another order of additions is no other result."""
    fabric = Fabric(accelerator="cpu", devices=1, precision="64-true")
    return loop.pretrain(make_encoder(), make_bank(), Clips(), config, run, fabric)


def written_out(
    config: PretrainConfig,
    dtype: torch.dtype = torch.float64,
    clip: Callable[[list[nn.Parameter]], float] = lambda parameters: 0.0,
) -> tuple[AmortisedEncoder, list[float]]:
    """SimCLR with accumulated batches, or groups of them, each gradient in memory of its own.

    Returns:
        the encoder, and what `clip` gave at each step.
    """
    encoder, bank, clips, told = make_encoder(), make_bank(), Clips(), []
    with seeded(0, "projector"):
        projector = Projector(bank.space, encoder.dim, 16, 8)
    model = nn.ModuleList([encoder, projector]).train().to(dtype)
    optimiser = make_optimiser(model, config)
    release(model)
    parameters = list(model.parameters())
    for step in range(config.steps):
        set_learning_rate(optimiser, config, step)
        gradients = [torch.zeros_like(p) for p in parameters]
        parts = config.accumulate * config.groups
        for part in range(step * parts, (step + 1) * parts):
            batch, group = divmod(part, config.groups)
            whole = clips.batch(batch_indices(N, 8, 0, batch), generator(0, "crops", batch, 0))
            x, i = whole.chunk(config.groups)[group], draw_corner(bank, config, 0, step, 0, group)
            with torch.no_grad():
                views, _ = bank.views(x, i, generator(0, "views", part, 0))
            i = i.to(dtype)
            z = projector(encoder(torch.cat(views).to(dtype), i), i)
            loss = nt_xent(*z.chunk(2), config.temperature) / parts
            found = torch.autograd.grad(loss, parameters)
            gradients = [old + new for old, new in zip(gradients, found, strict=True)]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient.clone()
        told.append(clip(parameters))
        optimiser.step()
    return encoder.eval(), told


def close(a: nn.Module, b: nn.Module, atol: float = 1e-9) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.allclose(one, two, rtol=0, atol=atol) for one, two in pairs)


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
@pytest.mark.parametrize(("accumulate", "groups"), [(1, 1), (4, 1), (1, 2), (2, 4)])
def test_a_step_takes_the_mean_gradient_of_its_batches_and_groups(
    tmp_path: Path, optimiser: str, accumulate: int, groups: int
) -> None:
    """Of AdamW the loop keeps some gradients as factors, which share memory with others."""
    config = settings(optimiser=optimiser, accumulate=accumulate, groups=groups, steps=5)
    encoder = train_64(tmp_path, config)
    assert close(encoder, written_out(config)[0])
    assert not close(encoder, train_64(tmp_path / "off", settings(optimiser=optimiser, steps=4)))


OPTIONS: list[dict[str, Any]] = [
    {"accumulate": 2},
    {"ema": 0.9},
    {"accumulate": 2, "ema": 0.99, "clip_gradient": 0.5, "lr_per_256": True, "loss_chunk": 5},
    {"accumulate": 2, "objective": "moco_v3", "ema": 0.9, "read_ahead": 2},
    {"groups": 2, "projector": "per_descriptor", "corner_weights": "ends", "read_ahead": 2},
]


@pytest.mark.slow
@pytest.mark.parametrize("changed", OPTIONS, ids=lambda changed: " ".join(changed))
def test_they_resume_bit_for_bit(tmp_path: Path, changed: dict[str, Any]) -> None:
    config = settings(**changed)
    whole = train(tmp_path / "whole", config)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", config, progress=interrupt_after(6))
    assert equal(train(tmp_path / "run", config, make_encoder(99)), whole)
    ends = [checkpoints(tmp_path / run / "checkpoints")[-1] for run in ("whole", "run")]
    assert ends[0].read_bytes() == ends[1].read_bytes()
    fields = ("step", "loss", "lr", "descriptor")
    rows = [[[row[f] for f in fields] for row in logged(tmp_path / r)] for r in ("whole", "run")]
    assert rows[0] == rows[1]
    assert equal(train(tmp_path / "run", config, make_encoder(98)), whole)  # a finished one too


def test_groups_share_a_batch_and_have_a_corner_each(tmp_path: Path) -> None:
    config, read, asked = settings(groups=2, log_every=1), [], []

    class Recorded(Clips):
        def batch(self, indices: Tensor, *others: Any) -> Tensor:
            asked.append(indices)
            read.append(super().batch(indices, *others))
            return read[-1]

    train(tmp_path, config, clips=Recorded())
    for step, row in enumerate(logged(tmp_path)):
        corners = [draw_corner(make_bank(), config, 0, step, group=g).tolist() for g in range(2)]
        assert row["descriptor"] == corners
        batch = batch_indices(N, 8, 0, step)
        whole = Clips().batch(batch, generator(0, "crops", step, 0))
        assert torch.equal(torch.cat(read[2 * step : 2 * step + 2]), whole)
        assert torch.equal(asked[2 * step], batch) and torch.equal(asked[2 * step + 1], batch)
    assert any(row["descriptor"][0] != row["descriptor"][1] for row in logged(tmp_path))


def test_a_batch_that_is_not_finite_costs_its_whole_step(tmp_path: Path) -> None:
    """First or second of a step: weights, statistics and later batches are those of the other."""

    class Damaged(Clips):
        def __init__(self, bad: int) -> None:
            super().__init__()
            self.bad, self.asked = bad, -1

        def batch(self, *arguments: Any) -> Tensor:
            self.asked += 1
            return super().batch(*arguments) * (math.nan if self.asked == self.bad else 1)

    config = settings(accumulate=2, not_finite="skip", log_every=1, ema=0.9)
    first, second, none = (
        train(tmp_path / str(bad), config, clips=Damaged(bad)) for bad in (6, 7, -9)
    )
    assert equal(first, second) and not equal(first, none)
    rows, others = logged(tmp_path / "6"), logged(tmp_path / "7")
    assert [row.get("loss") for row in rows] == [row.get("loss") for row in others]
    assert [row["step"] for row in rows if "loss" not in row] == [4]


def test_the_loss_that_is_logged_is_the_mean_over_batches(tmp_path: Path) -> None:
    class Twice(Clips):
        """Batch 1 is batch 0 again."""

        def batch(self, indices: Tensor, *others: Any) -> Tensor:
            return self.x[torch.arange(8)]

    rows = []
    for accumulate in (1, 2):
        run = tmp_path / str(accumulate)
        train(run, settings(accumulate=accumulate, steps=1, corners="other"), clips=Twice())
        rows.append(logged(run)[0]["loss"])
    alone = tmp_path / "alone"  # the second batch alone, with the views that it has
    train(alone, settings(steps=2, lr=1e-30, corners="other", log_every=1), clips=Twice())
    assert rows[1] == pytest.approx(sum(row["loss"] for row in logged(alone)) / 2, abs=1e-6)
    assert rows[0] == logged(alone)[0]["loss"]


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_gradient_is_clipped_as_torch_does(
    tmp_path: Path, optimiser: str, accumulate: int
) -> None:
    told: dict[str, Any] = {
        "optimiser": optimiser,
        "accumulate": accumulate,
        "lr": 1e-3,
        "steps": 6,
    }
    config = settings(clip_gradient=0.5, log_gradient_norm=True, log_every=1, **told)
    encoder = train_64(tmp_path, config)
    expected, norms = written_out(
        config, clip=lambda p: float(nn.utils.clip_grad_norm_(p, config.clip_gradient))
    )
    assert close(encoder, expected)
    assert [row["gradient_norm"] for row in logged(tmp_path)] == pytest.approx(norms, rel=1e-9)
    assert min(norms) > 0.5
    assert not close(encoder, train_64(tmp_path / "off", settings(**told)))


def test_a_norm_that_is_never_reached_changes_nothing(tmp_path: Path) -> None:
    assert equal(
        train(tmp_path / "on", settings(clip_gradient=1e6)), train(tmp_path / "off", settings())
    )


def test_the_average_in_closed_form(tmp_path: Path) -> None:
    encoder = make_encoder()
    seen = [{n: v.double().clone() for n, v in encoder.state_dict().items()}]

    def look(*_: Any) -> None:
        seen.append({n: v.double().clone() for n, v in encoder.state_dict().items()})

    average = train(tmp_path, settings(ema=0.3, steps=9), encoder, progress=look)
    mean = seen[0]
    for step, new in enumerate(seen[1:]):
        keep = min(0.3, (1 + step) / (10 + step))
        mean = {name: keep * mean[name] + (1 - keep) * new[name] for name in mean}
    assert average is encoder
    for name, value in average.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value.double(), mean[name], rtol=1e-5, atol=1e-6)
    raw = train(tmp_path / "raw", settings(steps=9))
    assert not equal(raw, average)
    trained = torch.load(checkpoints(tmp_path / "checkpoints")[-1], weights_only=True)["model"]
    assert all(torch.equal(trained[f"encoder.{n}"], v) for n, v in raw.state_dict().items())


def test_the_saved_encoder_is_the_average(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "steps": 4,
        "batch_size": 8,
        "projector_hidden": 16,
        "projector_dim": 8,
        "ema": 0.9,
    }
    encoder = pretrain(make_encoder(), make_bank(), Clips(), tmp_path, device="cpu", **options)
    state = torch.load(checkpoints(tmp_path / "checkpoints")[-1], weights_only=True)
    saved = load_file(tmp_path / "encoder" / "encoder.safetensors")
    weights = dict(encoder.named_parameters())
    assert all(torch.equal(state["average"][n], saved[n]) for n in weights)
    assert not all(torch.equal(state["model"][f"encoder.{n}"], saved[n]) for n in weights)


def test_without_the_average_checkpoints_have_none(tmp_path: Path) -> None:
    train(tmp_path, settings(steps=1))
    assert "average" not in torch.load(checkpoints(tmp_path / "checkpoints")[-1], weights_only=True)


def test_the_rate_grows_with_the_clips_of_a_step(tmp_path: Path) -> None:
    train(tmp_path, settings(lr=0.1, lr_per_256=True, accumulate=3, log_every=1))
    wanted = settings(lr=0.1 * 8 * 3 / 256)
    assert [row["lr"] for row in logged(tmp_path)] == [learning_rate(wanted, k) for k in range(9)]


@pytest.mark.parametrize("predict", ["none", "embeddings"])
def test_a_loss_in_chunks_trains_the_same(tmp_path: Path, predict: str) -> None:
    whole, parts = (
        train_64(
            tmp_path / str(chunk), settings(loss_chunk=chunk, predict=predict, optimiser="sgd")
        )
        for chunk in (0, 5)
    )
    assert close(whole, parts)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"accumulate": 0}, r"pretrain\.accumulate is 0; give 1 or more"),
        ({"accumulate": 2, "objective": "moco_v2", "queue_size": 16}, r"accumulate is 2.*queue"),
        ({"clip_gradient": -1.0}, r"clip_gradient is -1\.0; give a norm above 0, or 0"),
        ({"clip_gradient": math.nan}, r"clip_gradient is nan"),
        ({"clip_gradient": math.inf}, r"clip_gradient is inf"),
        ({"groups": 0}, r"groups is 0; give 1 or more"),
        ({"groups": 3}, r"groups is 3.*batch of 8.*divisor"),
        ({"groups": 8}, r"groups is 8.*2 or more"),
        ({"groups": 2, "objective": "moco_v2", "queue_size": 16}, r"groups is 2.*groups=1"),
        ({"corner_weights": "even"}, r"corner_weights is 'even'; give uniform or ends"),
        ({"ema": 1.0}, r"ema is 1\.0; give a decay below 1, or 0"),
        ({"ema": math.nan}, r"ema is nan"),
        ({"loss_chunk": -1}, r"loss_chunk is -1; give 0 or more"),
        ({"loss_chunk": 4, "objective": "moco_v3"}, r"loss_chunk is 4; it needs objective=simclr"),
    ],
)
def test_settings_that_cannot_work_are_explained(
    tmp_path: Path, changed: dict[str, Any], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        train(tmp_path, settings(**changed))
    assert not (tmp_path / "checkpoints").exists()
