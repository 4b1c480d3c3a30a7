"""Momentum contrast: the momentum copy, the queues, and what each step does with them."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.fabric import Fabric
from torch import Tensor, nn

from audioinv.base.randomness import generator, seeded
from audioinv.core.augmentation import Augmentation, Parameter
from audioinv.core.bank import AugmentationBank
from audioinv.core.contrast import (
    CornerStatistics,
    MoCoV2,
    MoCoV3,
    MomentumCopy,
    Queue,
    rising_momentum,
    running_statistics,
)
from audioinv.core.descriptor import DescriptorSpace
from audioinv.core.objective import Shown
from audioinv.core.objectives import moco_v2, moco_v3
from audioinv.core.projector import Projector
from audioinv.training.loop import PretrainConfig, pretrain

SPACE = DescriptorSpace.single(["a", "b"])
CORNERS = SPACE.corners  # 01, 10, 11
DIM = 4


class Small(nn.Module):
    """Stands for an encoder: BatchNorm behind weights that depend on the descriptor."""

    dim = 5

    def __init__(self, inputs: int = 6) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, 5)
        self.shift = nn.Linear(2, 5)
        self.norm = nn.BatchNorm1d(5)

    def forward(self, x: Tensor, descriptor: Tensor) -> Tensor:
        return torch.tanh(self.norm(self.linear(x) + 9 * self.shift(descriptor)))


def make(kind: str, projector: str = "shared", size: int = 8) -> Any:
    with seeded(0, "contrast"):
        encoder: Any = Small()
        mlp = Projector(SPACE, 5, 7, DIM, projector, last_norm=kind == "v3")
        if kind == "v3":
            head = Projector(SPACE, DIM, 7, DIM, projector, last_norm=True)
            return MoCoV3(BANK, encoder, mlp, head, 0.2, 0.9).train()
        queue = Queue(CORNERS, size, DIM, generator(0, "queue"))
        return MoCoV2(BANK, encoder, mlp, queue, 0.2, 0.9).train()


def views(n: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    first, second = torch.randn(2, n, 6, generator=generator(seed, "views"))
    return first, second


def shown(pair: tuple[Tensor, Tensor]) -> Shown:
    return Shown(pair, ({}, {}))


def run(model: Any, descriptor: Tensor, seed: int = 0) -> list[Tensor]:
    projections, further = model.outputs(shown(views(seed=seed)), descriptor)
    assert further == {}
    return list(projections)


def moved(before: dict[str, Tensor], after: dict[str, Tensor], prefix: str) -> set[str]:
    return {k for k in before if k.startswith(prefix) and not torch.equal(before[k], after[k])}


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    return copy.deepcopy(model.state_dict())


@pytest.mark.parametrize("momentum", [0.0, 0.9, 0.999, 1.0])
def test_the_copy_follows_by_the_formula(momentum: float) -> None:
    model = make("v2")
    with torch.no_grad():
        for k, parameter in enumerate(model.query.parameters()):
            parameter.add_(0.1 * k + 1)
    own, new = snapshot(model.key.branch), snapshot(model.query)
    model.key.follow(model.query, momentum)
    for name, value in model.key.branch.named_parameters():
        expected = momentum * own[name].double() + (1 - momentum) * new[name].double()
        torch.testing.assert_close(value.double(), expected, rtol=1e-6, atol=1e-7)
    assert moved(new, snapshot(model.query), "") == set()
    if momentum in (0.0, 1.0):
        source = new if momentum == 0 else own
        assert all(torch.equal(v, source[k]) for k, v in model.key.branch.named_parameters())


def test_the_copy_starts_equal_and_shares_nothing() -> None:
    branch: Any = make("v2").query
    key = MomentumCopy(branch)
    assert all(torch.equal(v, branch.state_dict()[k]) for k, v in key.branch.state_dict().items())
    with torch.no_grad():
        for parameter in branch.parameters():
            parameter.add_(1)
    pairs = zip(branch.parameters(), key.branch.parameters(), strict=True)
    assert all(not torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("kind", ["v2", "v3"])
def test_gradients_reach_the_query_and_never_the_key(kind: str) -> None:
    model = make(kind)
    projections = run(model, CORNERS[2])
    model.loss(projections, CORNERS[2]).backward()
    keys = projections[1:] if kind == "v2" else projections[2:]
    assert not any(key.requires_grad for key in keys)
    for name, parameter in model.named_parameters():
        is_key = name.startswith("key.")
        assert parameter.requires_grad != is_key
        assert (parameter.grad is None) == is_key, name
    assert float(model.query.encoder.linear.weight.grad.abs().max()) > 1e-5


def test_moco_v2_compares_view_1_with_view_2_and_the_queue_of_its_corner() -> None:
    model = make("v2")
    fresh = copy.deepcopy(model)
    query, key = (p.detach() for p in run(model, CORNERS[1]))
    loss = float(model.loss([query, key], CORNERS[1]))
    assert loss == pytest.approx(float(moco_v2(query, key, model.queue.keys[1], 0.2)))
    assert loss != pytest.approx(float(moco_v2(query, key, model.queue.keys[0], 0.2)), abs=1e-4)
    with torch.no_grad():
        first, second = views()
        torch.testing.assert_close(query, fresh.query(first, CORNERS[1]))
        torch.testing.assert_close(key, fresh.key.eval()(second, CORNERS[1]))


def test_moco_v3_compares_each_view_with_the_other() -> None:
    model = make("v3")
    q1, q2, k1, k2 = run(model, CORNERS[0])
    expected = moco_v3(q1, q2, k1, k2, 0.2)
    assert torch.equal(model.loss([q1, q2, k1, k2], CORNERS[0]), expected)
    both = torch.cat(views())
    with torch.no_grad():
        plain = model.query(both, CORNERS[0])
        torch.testing.assert_close(torch.cat([k1, k2]), plain)  # the copy starts equal
        torch.testing.assert_close(torch.cat([q1, q2]), model.head(plain, CORNERS[0]))


@pytest.mark.parametrize("projector", ["shared", "per_descriptor", "none"])
def test_a_key_does_not_depend_on_its_batch(projector: str) -> None:
    """What shuffling is for: a batch must leave no mark on its keys."""
    model = make("v2", projector) if projector != "none" else make_without_projector()
    for step in range(3):
        run(model, CORNERS[1], step)
    (first, second), (_, other) = views(), views(seed=9)
    mixed = torch.cat([second[:1], other[1:]])
    a = copy.deepcopy(model).outputs(shown((first, second)), CORNERS[1])[0]
    b = copy.deepcopy(model).outputs(shown((first, mixed)), CORNERS[1])[0]
    torch.testing.assert_close(a[1][0], b[1][0], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(a[1][1], b[1][1], atol=1e-3)


def make_without_projector() -> MoCoV2:
    with seeded(0, "contrast"):
        encoder: Any = Small()
        queue = Queue(CORNERS, 8, 5, generator(0, "queue"))
        return MoCoV2(BANK, encoder, Projector(SPACE, 5, kind="none"), queue, 0.2, 0.9).train()


def test_statistics_of_a_corner_are_those_of_its_own_batches() -> None:
    model = make("v2")
    seen: dict[int, list[Tensor]] = {0: [], 1: [], 2: []}
    visits = [0, 1, 2, 1, 1, 0, 2, 2]
    for step, corner in enumerate(visits):
        encoder = model.query.encoder
        x, descriptor = views(seed=step)[0], CORNERS[corner]
        into_norm = encoder.linear(x) + 9 * encoder.shift(descriptor)
        seen[corner].append(torch.stack([into_norm.mean(0), into_norm.var(0)]).detach())
        run(model, descriptor, step)
    for corner, batches in seen.items():  # the first ten are a plain average
        expected = torch.stack(batches).mean(0)
        found = model.statistics.norm_0[corner]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert model.statistics.visits.tolist() == [2, 3, 3]
    plain = copy.deepcopy(model.key.branch).eval()
    with torch.no_grad():
        norm = plain.encoder.norm
        norm.running_mean, norm.running_var = model.statistics.norm_0[1].clone()
        hidden = plain.projector.heads[0][1]
        hidden.running_mean, hidden.running_var = model.statistics.norm_1[1].clone()
    torch.testing.assert_close(run(model, CORNERS[1])[1], plain(views()[1], CORNERS[1]))


def test_statistics_forget_at_the_rate_of_batch_norm() -> None:
    norm = nn.BatchNorm1d(3)
    statistics = CornerStatistics(norm, 1)
    g = generator(0, "statistics")
    batches = [k + torch.randn(50, 3, generator=g) for k in range(14)]
    for batch in batches:
        before = running_statistics(norm)
        norm(batch)
        statistics.update(norm, before, 0)
    expected = torch.stack([b.mean(0) for b in batches[:10]]).mean(0)
    for batch in batches[10:]:
        expected = 0.9 * expected + 0.1 * batch.mean(0)
    torch.testing.assert_close(statistics.get_buffer("norm_0")[0, 0], expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize("corner", [0, 1, 2])
def test_a_step_changes_the_queue_and_statistics_of_its_corner_alone(corner: int) -> None:
    model = make("v2", "per_descriptor")
    before = snapshot(model)
    projections = run(model, CORNERS[corner])
    model.loss(projections, CORNERS[corner])
    model.follow(CORNERS[corner], 0.5)
    after = snapshot(model)
    others = [c for c in range(3) if c != corner]
    assert moved(before, after, "queue.keys") and moved(before, after, "statistics.norm_0")
    for name in ("queue.keys", "queue.oldest", "statistics.norm_0", "statistics.visits"):
        assert torch.equal(before[name][others], after[name][others]), name
        assert not torch.equal(before[name][corner], after[name][corner]), name
    newest = F.normalize(projections[1], dim=1)
    assert torch.equal(after["queue.keys"][corner, :4], newest)
    assert torch.equal(after["queue.keys"][corner, 4:], before["queue.keys"][corner, 4:])


@settings(deadline=None)
@given(pushes=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 6)), max_size=25))
def test_a_queue_holds_the_newest_keys(pushes: list[tuple[int, int]]) -> None:
    """Against lists: wrapping round, whatever the sizes pushed."""
    queue = Queue(CORNERS, 6, 3, generator(0, "queue"))
    lists = [list(keys) for keys in queue.keys.clone()]
    g = generator(0, "pushed")
    for corner, n in pushes:
        keys = torch.randn(n, 3, generator=g)
        queue.push(corner, keys)
        lists[corner] = [*lists[corner], *F.normalize(keys, dim=1)][-6:]
    for corner, expected in enumerate(lists):
        begin = int(queue.oldest[corner])
        assert torch.equal(queue.keys[corner].roll(-begin, 0), torch.stack(expected))


def test_queues_start_with_keyed_random_unit_keys() -> None:
    keys, again, other = (
        Queue(CORNERS, 50, 8, generator(seed, "queue")).keys for seed in (0, 0, 1)
    )
    assert keys.shape == (3, 50, 8)
    torch.testing.assert_close(keys.norm(dim=2), torch.ones(3, 50))
    assert torch.equal(keys, again) and not torch.allclose(keys, other)
    assert float(keys.mean(1).abs().max()) < 0.25 and not torch.equal(keys[0], keys[1])


def test_momentum_rises_by_half_a_cosine() -> None:
    assert rising_momentum(0.99, 0) == pytest.approx(0.99)
    assert rising_momentum(0.99, 0.5) == pytest.approx(0.995)
    assert rising_momentum(0.99, 1) == 1.0
    quarter = 1 - 0.01 * (1 + math.sqrt(0.5)) / 2
    assert rising_momentum(0.99, 0.25) == pytest.approx(quarter)


def test_moco_v3_follows_with_the_rising_momentum_and_v2_with_a_constant_one() -> None:
    for kind, expected in (("v2", 0.9), ("v3", 0.95)):
        model = make(kind)
        with torch.no_grad():
            model.query.encoder.linear.bias.add_(1)
        old = model.key.branch.encoder.linear.bias.clone()
        model.loss(run(model, CORNERS[0]), CORNERS[0])
        model.follow(CORNERS[0], progress=0.5)
        new = model.key.branch.encoder.linear.bias
        torch.testing.assert_close(new - old, torch.full_like(old, 1 - expected))


class Noise(Augmentation):
    """Noise keyed by its parameter."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.parameters = (Parameter("key", "", 0.0, 1e6, 0.0),)

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        keys = params[:, 0].long().tolist()
        return x + torch.stack([torch.randn(30, generator=generator(key, "n")) for key in keys])


class Mixtures:
    """Clips that are mixtures of two patterns."""

    def __init__(self, n: int) -> None:
        patterns = torch.randn(2, 30, generator=generator(0, "patterns"))
        self.x = torch.randn(n, 2, generator=generator(n, "shares")) @ patterns

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, indices: Tensor, generator: torch.Generator, own: slice) -> Tensor:
        return self.x[indices[own]]


def recognised(encoder: Small) -> float:
    """How often a view is nearer to its clip's other view than to another clip's: 0.5 by chance."""
    n = 256
    views, _ = BANK.views(Mixtures(n).x, CORNERS[2], generator(0, "held out"))
    with torch.no_grad():
        features = encoder.train()(torch.cat(views), CORNERS[2])
    first, second = F.normalize(features, dim=1).chunk(2)
    similarity = first @ second.T
    return float((similarity.diag()[:, None] > similarity).float().sum() / (n * (n - 1)))


BANK = AugmentationBank([Noise("a"), Noise("b")], SPACE)


@pytest.mark.parametrize("objective", ["simclr", "moco_v2", "moco_v3"])
def test_views_of_unseen_clips_come_together(tmp_path: Path, objective: str) -> None:
    config = PretrainConfig(
        steps=100, batch_size=64, lr=1e-2, warmup_steps=5, objective=objective, queue_size=128,
        momentum=0.9, projector_hidden=16, projector_dim=8, checkpoint_every=1000, log_every=1,
    )  # fmt: skip
    with seeded(0, "encoder"):
        encoder: Any = Small(30)
    before = recognised(encoder)
    losses: list[float] = []
    fabric = Fabric(accelerator="cpu", devices=1)
    pretrain(
        encoder, BANK, Mixtures(512), config, tmp_path, fabric,
        progress=lambda step, loss, lr: losses.append(loss),
    )  # fmt: skip
    after = recognised(encoder)
    assert after > before + 0.1
    if objective != "moco_v2":  # whose negatives are noise first, and become harder
        assert sum(losses[-20:]) < 0.9 * sum(losses[:20])
