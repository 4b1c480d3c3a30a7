from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from audioinv.core.bank import ALL, Augmentation, AugmentationBank, Parameter
from audioinv.core.checkpoint import checkpoints
from audioinv.core.descriptor import DescriptorSpace
from audioinv.core.distributed import own_rows
from audioinv.core.encoder import AmortisedEncoder
from audioinv.core.errors import UserError
from audioinv.core.pretrain import (
    PretrainConfig,
    batch_indices,
    draw_corner,
    learning_rate,
    make_optimiser,
    pretrain,
)
from audioinv.core.randomness import generator, seeded
from audioinv.core.rank_one import Bases
from audioinv.core.signals import Stopped

N = 24
SIZE = (1, 16, 12)


class Plain(nn.Module):
    output_size = SIZE
    config: Mapping[str, Any] = {"name": "plain"}

    def forward(self, x: Tensor) -> Tensor:
        return x


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
        return AmortisedEncoder(Plain(), backbone, conditioning, make_bank().space)


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


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, AmortisedEncoder]:
    run = tmp_path_factory.mktemp("whole")
    return run, train(run, settings())


@pytest.mark.parametrize("stop", [2, 6, 8])
def test_a_resumed_run_ends_with_the_same_weights(
    tmp_path: Path, uninterrupted: tuple[Path, AmortisedEncoder], stop: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, settings(), progress=interrupt_after(stop))
    torch.rand(7)
    encoder = train(tmp_path, settings(), make_encoder(seed=0 if stop == 2 else 99))
    assert equal(encoder, uninterrupted[1])
    fields = ("step", "loss", "lr", "descriptor")
    rows, whole = (
        [[row[f] for f in fields] for row in logged(run)] for run in (tmp_path, uninterrupted[0])
    )
    assert rows == whole


def test_lars_resumes_too(tmp_path: Path) -> None:
    config = settings(optimiser="lars", lr=0.1, projector="per_descriptor")
    whole = train(tmp_path / "whole", config)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", config, progress=interrupt_after(6))
    assert equal(train(tmp_path / "run", config, make_encoder(99)), whole)


MOCO: list[dict[str, Any]] = [
    {"objective": "moco_v2", "queue_size": 16, "momentum": 0.8, "projector": "per_descriptor"},
    {"objective": "moco_v3", "momentum": 0.8, "projector_layers": 3},
]


@pytest.mark.parametrize("changed", MOCO, ids=lambda changed: changed["objective"])
@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_momentum_contrast_resumes_too(
    tmp_path: Path, changed: dict[str, Any], optimiser: str
) -> None:
    """Weights, copy, queues and statistics: the last checkpoints are equal throughout."""
    config = settings(optimiser=optimiser, lr=0.01, **changed)
    whole = train(tmp_path / "whole", config)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", config, progress=interrupt_after(6))
    assert equal(train(tmp_path / "run", config, make_encoder(99)), whole)
    one, two = (
        torch.load(checkpoints(tmp_path / run / "checkpoints")[-1], weights_only=True)["model"]
        for run in ("whole", "run")
    )
    assert one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)
    if changed["objective"] == "moco_v2":
        assert one["queue.keys"].shape == (3, 16, 8)
        assert int(one["statistics.visits"].sum()) == 9
    assert not equal(make_encoder(), whole)


@pytest.mark.parametrize("corners", ["other", "leave_one_out"])
def test_there_is_a_queue_for_every_corner_trained(tmp_path: Path, corners: str) -> None:
    train(tmp_path, settings(objective="moco_v2", queue_size=8, corners=corners, steps=2))
    state = torch.load(checkpoints(tmp_path / "checkpoints")[-1], weights_only=True)["model"]
    assert len(state["queue.keys"]) == {"other": 1, "leave_one_out": 3}[corners]


def test_a_damaged_newest_checkpoint_costs_only_time(
    tmp_path: Path, uninterrupted: tuple[Path, AmortisedEncoder]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, settings(), progress=interrupt_after(8))
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, settings(), progress=interrupt_after(9))
    newest = checkpoints(tmp_path / "checkpoints")[-1]
    newest.write_bytes(newest.read_bytes()[:500])
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 9, "lo')  # killed within a line
    assert equal(train(tmp_path, settings(), make_encoder(99)), uninterrupted[1])
    assert [row["step"] for row in logged(tmp_path)] == [2, 4, 6, 8, 9]


def test_a_finished_run_trains_no_more(
    tmp_path: Path, uninterrupted: tuple[Path, AmortisedEncoder]
) -> None:
    train(tmp_path, settings())
    steps: list[int] = []
    again = train(
        tmp_path, settings(), make_encoder(99), progress=lambda *row: steps.append(row[0])
    )
    assert steps == [] and equal(again, uninterrupted[1])


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    train(tmp_path, settings(steps=1))
    with pytest.raises(UserError, match=r"step_00000001\.pt is of another model"):
        train(tmp_path, settings(projector_dim=4))


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    bank = make_bank(bomb=True)
    config = settings(checkpoint_every=1, steps=50)
    corners = [draw_corner(bank, config, 1, step) for step in range(50)]
    first = next(step for step, corner in enumerate(corners) if corner[1] == 1)
    assert first > 0  # of seed 1
    fabric = Fabric(accelerator="cpu", devices=1)
    with pytest.raises(UserError) as caught:
        pretrain(make_encoder(), bank, Clips(), config, tmp_path, fabric, 1)
    message = str(caught.value)
    assert "the loss is nan" in message and f"at step {first} " in message
    assert f"descriptor {bank.space.label(corners[first])}" in message
    assert f"step_{first:08d}.pt" in message and "pretrain.lr" in message


def test_a_loss_that_is_never_finite_has_no_checkpoint_to_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none was written"):
        train(tmp_path, settings(corners="other"), bank=make_bank(bomb=True))


def test_steps_that_are_not_finite_may_be_skipped(tmp_path: Path) -> None:
    """They leave nothing behind: not in the weights, nor in what BatchNorm remembers."""
    config = settings(not_finite="skip", steps=12, log_every=1, skip_limit=5)
    bank = make_bank(bomb=True)
    bad = [bool(draw_corner(bank, config, 0, step)[1]) for step in range(12)]
    assert 3 < sum(bad) < 10
    encoder = make_encoder()
    before = int(encoder.backbone.trunk.bn1.num_batches_tracked)
    train(tmp_path, config, encoder, bank)
    assert all(value.isfinite().all() for value in encoder.state_dict().values())
    assert int(encoder.backbone.trunk.bn1.num_batches_tracked) == before + 12 - sum(bad)
    assert [("loss" not in row) for row in logged(tmp_path)] == bad
    with pytest.raises(UserError, match=r"loss is nan at step .*\(1 steps before it were skipped"):
        train(tmp_path / "strict", settings(not_finite="skip", steps=12, skip_limit=1), bank=bank)


@pytest.mark.parametrize("policy", ["stop", "skip"])
def test_a_gradient_that_is_not_finite(tmp_path: Path, policy: str) -> None:
    """Skipped, or found before a checkpoint of broken weights is written."""
    config = settings(not_finite=policy, checkpoint_every=1, log_every=1, log_gradient_norm=True)
    encoder, calls = make_encoder(), []

    def spoil(gradient: Tensor) -> Tensor:
        calls.append(1)
        return gradient * (math.inf if len(calls) == 5 else 1)

    next(encoder.parameters()).register_hook(spoil)
    if policy == "stop":
        with pytest.raises(
            UserError, match=r"a weight is not finite at step 4 .*step_00000004\.pt"
        ):
            train(tmp_path, config, encoder)
        assert len(checkpoints(tmp_path / "checkpoints")) == 2
        return
    train(tmp_path, config, encoder)
    assert all(p.isfinite().all() for p in encoder.parameters())
    assert [("gradient_norm" in row) for row in logged(tmp_path)] == [k != 4 for k in range(9)]


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


def test_a_run_that_is_asked_to_stop_writes_a_checkpoint_and_resumes(
    tmp_path: Path, uninterrupted: tuple[Path, AmortisedEncoder]
) -> None:
    steps: list[int] = []
    with pytest.raises(Stopped, match="after step 5 of 9"):
        train(
            tmp_path, settings(), progress=lambda *row: steps.append(row[0]),
            stop=lambda: len(steps) == 4,
        )  # fmt: skip
    assert checkpoints(tmp_path / "checkpoints")[-1].name == "step_00000005.pt"
    encoder = train(tmp_path, settings(), make_encoder(99))
    assert equal(encoder, uninterrupted[1])
    assert [row["step"] for row in logged(tmp_path)] == [2, 4, 6, 8, 9]


def test_a_stop_at_the_end_changes_nothing(
    tmp_path: Path, uninterrupted: tuple[Path, AmortisedEncoder]
) -> None:
    steps: list[int] = []
    encoder = train(
        tmp_path, settings(), progress=lambda *row: steps.append(row[0]),
        stop=lambda: len(steps) == 8,
    )  # fmt: skip
    assert equal(encoder, uninterrupted[1])


def test_as_many_checkpoints_are_kept_as_asked_for(tmp_path: Path) -> None:
    train(tmp_path, settings(checkpoint_every=1, keep_checkpoints=4))
    names = [path.name for path in checkpoints(tmp_path / "checkpoints")]
    assert names == [f"step_{step:08d}.pt" for step in (6, 7, 8, 9)]


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
        ({"lr": 0.0}, r"pretrain\.lr is 0\.0; give a number above 0"),
        ({"lr": math.nan}, r"pretrain\.lr is nan"),
        ({"batch_size": N + 1}, "24 training clips cannot fill a batch of 25"),
        ({"optimiser": "rmsprop"}, "adamw, adam, sgd, lars"),
        ({"projector": "mlp"}, "shared, per_descriptor, conditioned"),
        ({"corners": "echo"}, "unknown component echo"),
        ({"temperature": 0.0}, "temperature"),
        ({"projector_layers": 0}, "projector_layers is 0; give 1 or more"),
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


def test_processes_share_a_corner_or_draw_their_own() -> None:
    def drawn(descriptors: str, rank: int) -> list[list[float]]:
        config = settings(descriptors=descriptors)
        return [draw_corner(make_bank(), config, 0, step, rank).tolist() for step in range(40)]

    assert drawn("same", 0) == drawn("same", 1) == drawn("per_process", 0)
    own = [drawn("per_process", rank) for rank in range(3)]
    assert own[0] != own[1] != own[2] != own[0]
    assert all({tuple(c) for c in corners} == {(0, 1), (1, 0), (1, 1)} for corners in own)
