"""Two gloo processes against one with the joined batch."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric import Fabric

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator, seeded
from audioinv.core.auxiliary import ParameterPredictor
from audioinv.core.contrast import MoCoV2, MoCoV3, Queue, SimCLR
from audioinv.core.descriptor import DescriptorSpace
from audioinv.core.objective import Shown
from audioinv.core.objectives import nt_xent
from audioinv.core.penalty import PenaltyDraws, without_statistics
from audioinv.core.projector import Projector
from audioinv.training.processes import (
    SynchronisedNorm,
    gather,
    mean_over_processes,
    pinned,
    process_group,
)
from tests.core.small_pretraining import make_bank

BATCH, STEPS = 6, 5


def test_clips_for_a_processor_are_not_copied() -> None:
    x = torch.zeros(2)
    assert pinned(x, torch.device("cpu")) is x


@pytest.mark.parametrize("error", [None, UserError("all clips are silent")])
def test_processes_part_before_the_interpreter_ends(error: Exception | None) -> None:
    """A group that is still there then aborts its process now and then."""
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.HashStore(), rank=0, world_size=1
    )
    said = pytest.raises(UserError, match="silent") if error else nullcontext()
    with said, process_group(Fabric(accelerator="cpu", devices=1)):
        torch.distributed.all_reduce(torch.zeros(()))
        if error:
            raise error
    assert not torch.distributed.is_initialized()


def train(fabric: Fabric, out: Path) -> None:
    """A few steps of a small network without BatchNorm, in float64, on this rank's slice."""
    with seeded(0, "network"):
        model = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 4))
    optimiser = torch.optim.SGD(model.double().parameters(), lr=0.5)
    wrapped, optimiser = fabric.setup(model, optimiser)
    x = torch.randn(STEPS, 2, 2 * BATCH, 5, generator=generator(0, "x")).double()
    own = 2 * BATCH // fabric.world_size
    rows = slice(fabric.global_rank * own, (fabric.global_rank + 1) * own)
    losses = []
    for views in x:
        a, b = (gather(wrapped(view[rows]), fabric) for view in views)
        loss = nt_xent(a, b, 0.5)
        optimiser.zero_grad()
        fabric.backward(loss)
        losses.append(loss.item())
        if len(losses) == 1:
            gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
        optimiser.step()
    if fabric.is_global_zero:
        state = {"losses": torch.tensor(losses), "gradients": gradients}
        torch.save({**state, "weights": model.state_dict()}, out)


@pytest.mark.distributed
@pytest.mark.timeout(120)
def test_two_processes_train_like_one(tmp_path: Path) -> None:
    """Loss, every gradient of the first step, and the weights after five."""
    train(Fabric(accelerator="cpu", devices=1), tmp_path / "one.pt")
    two = Fabric(accelerator="cpu", devices=2, strategy="ddp_fork")
    two.launch(train, tmp_path / "two.pt")
    one, two_ = (torch.load(tmp_path / f"{n}.pt", weights_only=True) for n in ("one", "two"))
    torch.testing.assert_close(one["losses"], two_["losses"], rtol=0, atol=1e-6)
    for part in ("gradients", "weights"):
        for name, value in one[part].items():
            torch.testing.assert_close(value, two_[part][name], rtol=0, atol=1e-9)
    assert max(float(g.abs().max()) for g in one["gradients"].values()) > 1e-3


class Small(torch.nn.Module):
    """Stands for an encoder: no BatchNorm, so that a joined batch is the same as its parts."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(5, 4)
        self.shift = torch.nn.Linear(2, 4)

    def forward(self, x: torch.Tensor, descriptor: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.linear(x) + self.shift(descriptor))


def train_momentum(fabric: Fabric, out: Path, objective: str) -> None:
    """Like `train`, by momentum contrast; every rank writes what it ends with."""
    space = DescriptorSpace.single(["a", "b"])
    with seeded(0, "network"):
        encoder: Any = Small()
        none, bank = Projector(space, 4, kind="none"), make_bank()
        queue = Queue(space.corners, 4 * BATCH, 4, generator(0, "queue"))
        contrast: Any = (
            MoCoV2(bank, encoder, none, queue, 0.5, 0.7)
            if objective == "moco_v2"
            else MoCoV3(bank, encoder, none, none, 0.5, 0.7)
        ).double()
    contrast.together = partial(gather, fabric=fabric)
    parameters = [p for p in contrast.parameters() if p.requires_grad]
    wrapped, optimiser = fabric.setup(contrast, torch.optim.SGD(parameters, lr=0.5))
    x = torch.randn(STEPS, 2, 2 * BATCH, 5, generator=generator(0, "x")).double()
    own = 2 * BATCH // fabric.world_size
    rows = slice(fabric.global_rank * own, (fabric.global_rank + 1) * own)
    losses, gradients = [], {}
    for step, views in enumerate(x):
        corner = space.corners[step % 2].double()
        loss = wrapped(Shown((views[0, rows], views[1, rows]), ({}, {})), corner)["contrast"]
        optimiser.zero_grad()
        fabric.backward(loss)
        losses.append(loss.item())
        if step == 0:
            gradients = {n: p.grad.clone() for n, p in contrast.query.named_parameters()}
        optimiser.step()
        contrast.follow(corner, (step + 1) / STEPS)
    state = {"losses": torch.tensor(losses), "gradients": gradients}
    torch.save({**state, "weights": contrast.state_dict()}, f"{out}_{fabric.global_rank}.pt")


@pytest.mark.distributed
@pytest.mark.timeout(120)
@pytest.mark.parametrize("objective", ["moco_v2", "moco_v3"])
def test_two_processes_contrast_with_momentum_like_one(tmp_path: Path, objective: str) -> None:
    """Loss, gradients, weights, momentum copy and queues, on both processes."""
    train_momentum(Fabric(accelerator="cpu", devices=1), tmp_path / "one", objective)
    two = Fabric(accelerator="cpu", devices=2, strategy="ddp_fork")
    two.launch(train_momentum, tmp_path / "two", objective)
    one, *ranks = (
        torch.load(tmp_path / f"{name}.pt", weights_only=True)
        for name in ("one_0", "two_0", "two_1")
    )
    assert max(float(g.abs().max()) for g in one["gradients"].values()) > 1e-3
    for rank in ranks:
        torch.testing.assert_close(one["losses"], rank["losses"], rtol=0, atol=1e-6)
        for part in ("gradients", "weights"):
            assert one[part].keys() == rank[part].keys()
            for name, value in one[part].items():
                torch.testing.assert_close(value, rank[part][name], rtol=0, atol=1e-9)
    if objective == "moco_v2":
        assert torch.equal(ranks[0]["weights"]["queue.keys"], ranks[1]["weights"]["queue.keys"])
        assert one["weights"]["queue.oldest"].tolist() == [12, 0, 0]


def train_penalised(fabric: Fabric, out: Path) -> None:
    """Like `train`, with the gradient penalty of a gain and an offset."""
    space = DescriptorSpace.single(["a", "b"])
    with seeded(0, "network"):
        encoder: Any = Small()
        none, nothing = Projector(space, 4, kind="none"), ParameterPredictor(Any, 4)
        contrast: Any = SimCLR(encoder, none, nothing, 0.5).double()
    contrast.together = partial(gather, fabric=fabric)
    wrapped, optimiser = fabric.setup(contrast, torch.optim.SGD(contrast.parameters(), lr=0.5))
    keyed = generator(0, "x")
    x = torch.randn(STEPS, 2, 2 * BATCH, 5, generator=keyed).double()
    alphas = torch.randn(STEPS, 2 * BATCH, 2, generator=keyed).double()
    signs = torch.randn(STEPS, 2 * BATCH, 4, generator=keyed).sign()
    moves = torch.randn(STEPS, 2 * BATCH, 7, 2, generator=keyed)
    own = 2 * BATCH // fabric.world_size
    rows = slice(fabric.global_rank * own, (fabric.global_rank + 1) * own)
    losses, gradients = [], {}
    for step, views in enumerate(x):
        corner = space.corners[step % 2].double()
        alpha = alphas[step, rows].clone().requires_grad_()
        first = views[0, rows] * (1 + alpha[:, :1]) + alpha[:, 1:]
        draws = PenaltyDraws(signs[step, rows], {"a": moves[step, rows]})
        shown = Shown((first, views[1, rows]), ({"a": alpha}, {}), draws)
        found = wrapped(shown, corner)
        penalty = mean_over_processes(found["penalty"], fabric)
        loss = found["contrast"] + 2 * penalty
        optimiser.zero_grad()
        fabric.backward(loss, inputs=list(contrast.parameters()))
        losses.append(penalty.item())
        if step == 0:
            gradients = {n: p.grad.clone() for n, p in contrast.named_parameters()}
        optimiser.step()
    state = {"losses": torch.tensor(losses), "gradients": gradients}
    torch.save({**state, "weights": contrast.state_dict()}, f"{out}_{fabric.global_rank}.pt")


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_two_processes_are_penalised_like_one(tmp_path: Path) -> None:
    """The penalty, gradients and weights, on both processes."""
    train_penalised(Fabric(accelerator="cpu", devices=1), tmp_path / "one")
    two = Fabric(accelerator="cpu", devices=2, strategy="ddp_fork")
    two.launch(train_penalised, tmp_path / "two")
    one, *ranks = (
        torch.load(tmp_path / f"{name}.pt", weights_only=True)
        for name in ("one_0", "two_0", "two_1")
    )
    assert float(one["losses"].min()) > 0.01
    for rank in ranks:
        torch.testing.assert_close(one["losses"], rank["losses"], rtol=0, atol=1e-6)
        for part in ("gradients", "weights"):
            for name, value in one[part].items():
                torch.testing.assert_close(value, rank[part][name], rtol=0, atol=1e-9)


def normalise_alone(fabric: Fabric, out: Path) -> None:
    """What a synchronised norm gives in a penalty's pass, and what becomes of its statistics."""
    norm = SynchronisedNorm(3).train()
    x = torch.randn(4, 3, generator=generator(0, "x", fabric.global_rank)) + fabric.global_rank
    with without_statistics(norm):
        alone = norm(x)
    untouched = norm.running_mean.clone(), norm.num_batches_tracked.clone()
    together = norm(x)
    torch.save([x, alone, together, *untouched], f"{out}_{fabric.global_rank}.pt")


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_penalty_s_pass_is_normalised_by_each_process_alone(tmp_path: Path) -> None:
    two = Fabric(accelerator="cpu", devices=2, strategy="ddp_fork")
    two.launch(normalise_alone, tmp_path / "two")
    for rank in (0, 1):
        x, alone, together, mean, batches = torch.load(tmp_path / f"two_{rank}.pt")
        torch.testing.assert_close(alone, torch.nn.BatchNorm1d(3)(x))
        assert not torch.allclose(alone, together, atol=0.1)
        assert not mean.any() and int(batches) == 0
