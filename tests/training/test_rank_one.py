"""Adam by factors against torch's own Adam on the whole gradient."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from audioinv.base.randomness import generator, seeded
from audioinv.core.backbone import Backbone
from audioinv.core.bases import Bases, release
from audioinv.core.conditioning import HyperConditioning
from audioinv.training import fused_adam, rank_one
from audioinv.training.rank_one import RankOneAdam

K, STEPS = 5, 6
ON = torch.ones(K).double()
OPTIONS = {"layers": [1, 1, 1, 1], "stem_type": "deep", "stem_width": 4}


class Conditioned(nn.Module):
    """A small ResNet in the paper's setting; in double precision, since Adam divides by gradients
    and so magnifies the rounding of small ones, in whatever order they are summed."""

    def __init__(self) -> None:
        super().__init__()
        with seeded(0, "network"):
            self.net = Backbone("resnet18", (1, 32, 24), width=0.125, dim=8, options=OPTIONS)
            self.conditioning = HyperConditioning(self.net, K, 32, 16, stem=True)
        self.double()

    def forward(self, x: Tensor, descriptor: Tensor) -> Tensor:
        added = self.conditioning(descriptor)
        weights = {name: self.net.get_parameter(name) + part for name, part in added.items()}
        return torch.func.functional_call(self.net, weights, (x,))


def corners() -> Tensor:
    return torch.randint(0, 2, (STEPS, K), generator=generator(0, "corners")).double()


def maps(draw: torch.Generator) -> Tensor:
    return torch.randn(8, 1, 32, 24, generator=draw).double()


def train(optimiser: torch.optim.Optimizer, model: nn.Module, backwards: int = 1) -> None:
    """`backwards` batches a step, under another corner and learning rate at each."""
    draw = generator(0, "maps")
    for step, descriptor in enumerate(corners()):
        for group in optimiser.param_groups:
            group["lr"] = 1e-3 / (step + 1)
        optimiser.zero_grad()
        for _ in range(backwards):
            model(maps(draw), descriptor).square().mean().backward()
        optimiser.step()


def largest_difference(a: nn.Module, b: nn.Module) -> float:
    """Over all parameters, relative to each one's largest value."""
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return max(float((p - q).abs().max() / q.abs().max().clamp_min(1e-3)) for p, q in pairs)


@pytest.mark.parametrize("decoupled", [True, False])
@pytest.mark.parametrize("backwards", [1, 2])
@pytest.mark.parametrize("by_torch", [False, True])
def test_the_update_is_adams(
    decoupled: bool, backwards: int, by_torch: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also as on a GPU, by torch's own Adam, where a piece ends within a basis; and where gradients
    add up before a step."""
    monkeypatch.setattr(rank_one, "PIECE", 32 * 700)
    if by_torch:
        monkeypatch.setattr(fused_adam, "applies", lambda values: False)
    ours, theirs = Conditioned(), Conditioned()
    reference = torch.optim.AdamW if decoupled else torch.optim.Adam
    train(
        RankOneAdam(ours.parameters(), weight_decay=0.1, decoupled_weight_decay=decoupled),
        ours,
        backwards,
    )
    train(reference(theirs.parameters(), weight_decay=0.1, fused=True), theirs, backwards)
    assert largest_difference(ours, theirs) < 1e-9
    assert largest_difference(ours, Conditioned()) > 1e-3  # and it learnt something


def test_a_scaled_loss_is_unscaled_and_a_skipped_step_does_not_count() -> None:
    """As a scaler of fp16's loss tells torch's own fused Adam."""
    ours, theirs = Conditioned(), Conditioned()
    optimisers: list[Any] = [
        RankOneAdam(ours.parameters(), decoupled_weight_decay=True, weight_decay=0.1),
        torch.optim.AdamW(theirs.parameters(), weight_decay=0.1, fused=True),
    ]
    for model, optimiser in zip((ours, theirs), optimisers, strict=True):
        draw = generator(0, "maps")
        for step, descriptor in enumerate(corners()):
            optimiser.zero_grad()
            (8 * model(maps(draw), descriptor).square().mean()).backward()
            optimiser.grad_scale, optimiser.found_inf = torch.tensor(8.0), torch.tensor(step % 2.0)
            optimiser.step()
    assert largest_difference(ours, theirs) < 1e-9
    counts = [
        {float(state["step"]) for state in optimiser.state_dict()["state"].values()}
        for optimiser in optimisers
    ]
    assert counts[0] == counts[1] == {STEPS / 2}


def test_the_bits_do_not_depend_on_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are shared out among them, also unevenly; sizes that are no multiple of a piece."""
    draw, found = generator(0, "numbers"), []
    h, g = torch.rand(2, 7, generator=draw), torch.randn(2, 5001, generator=draw)
    group = {"lr": 0.1, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.1}
    for threads in (1, 3, 16):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        tensors = tuple(torch.zeros(7, 5001) for _ in range(3))
        for count in (1, 2):
            fused_adam.step(tensors, h, g, count, {**group, "decoupled_weight_decay": True})
        found.append(torch.stack(tensors))
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])
    theirs = torch.nn.Parameter(torch.zeros(7, 5001))
    theirs.grad = h.T @ g
    adam = torch.optim.AdamW([theirs], **group)
    for _ in range(2):
        adam.step()
    torch.testing.assert_close(found[0][0], theirs.detach(), rtol=1e-4, atol=1e-6)


def test_bases_never_get_a_gradient_of_their_size() -> None:
    model = Conditioned()
    optimiser = RankOneAdam(model.parameters())
    model(maps(generator(0)), ON).sum().backward()
    bases = [p for p in model.parameters() if isinstance(p, Bases)]
    assert len(bases) == len(model.conditioning.names)
    assert all(p.grad is None and p.factors and len(p.factors) == 1 for p in bases)
    optimiser.zero_grad()
    assert all(p.factors == [] for p in bases)


def test_released_bases_are_ordinary_parameters() -> None:
    """So that fine-tuning with any optimiser after pre-training trains them."""
    model = Conditioned()
    RankOneAdam(model.parameters())
    release(model)
    model(maps(generator(0)), ON).sum().backward()
    bases = [p for p in model.parameters() if isinstance(p, Bases)]
    assert all(p.grad is not None and p.grad.shape == p.shape for p in bases)
    assert any(bool(p.grad.ne(0).any()) for p in bases if p.grad is not None)


def test_a_frozen_encoder_collects_nothing() -> None:
    """Adaptation differentiates by the descriptor through frozen weights, for many steps."""
    model = Conditioned()
    RankOneAdam(model.parameters())
    model.requires_grad_(False).eval()
    descriptor = torch.full((K,), 0.5, dtype=torch.double, requires_grad=True)
    model(maps(generator(0)), descriptor).sum().backward()
    assert descriptor.grad is not None and bool(descriptor.grad.ne(0).any())
    assert all(not p.factors for p in model.parameters() if isinstance(p, Bases))


def test_adams_checkpoint_is_ours_and_ours_is_adams() -> None:
    one, two = Conditioned(), Conditioned()
    adam = torch.optim.AdamW(one.parameters(), fused=True)
    ours = RankOneAdam(two.parameters(), weight_decay=0.01, decoupled_weight_decay=True)
    train(adam, one)
    train(ours, two)
    before, after = adam.state_dict(), ours.state_dict()
    assert before["param_groups"] == after["param_groups"]
    two.load_state_dict(one.state_dict())
    ours.load_state_dict(copy.deepcopy(before))  # loading would share its tensors
    train(adam, one)
    train(ours, two)
    assert largest_difference(two, one) < 1e-9
    adam.load_state_dict(ours.state_dict())


def test_bases_keep_their_precision_under_autocast() -> None:
    model = Conditioned().float()
    RankOneAdam(model.parameters())
    with torch.autocast("cpu", torch.bfloat16):
        added = model.conditioning(ON.float())
        model(maps(generator(0)).float(), ON.float()).float().sum().backward()
    assert all(part.dtype == torch.float32 for part in added.values())
    bases = [p for p in model.parameters() if isinstance(p, Bases)]
    assert all(g.dtype == torch.float32 for p in bases for pair in p.factors or [] for g in pair)


def train_on_ranks(fabric: Fabric, out: Path) -> None:
    """A conditioned linear network (no BatchNorm), each rank on its part of the batch."""
    with seeded(0, "network"):
        net = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
        model: nn.Module = Conditioned()
        model.net, model.conditioning = net, HyperConditioning(net, K)
        model.double()
    wrapped, optimiser = fabric.setup(model, RankOneAdam(model.parameters()))
    draw = generator(0, "x")
    for descriptor in corners():
        x = torch.randn(8, 6, generator=draw).double()
        own = len(x) // fabric.world_size
        part = x[fabric.global_rank * own :][:own]
        optimiser.zero_grad()
        fabric.backward(wrapped(part, descriptor).square().mean())
        optimiser.step()
    torch.save(model.state_dict(), out / f"{fabric.world_size}_{fabric.global_rank}.pt")


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_two_processes_step_like_one(tmp_path: Path) -> None:
    train_on_ranks(Fabric(accelerator="cpu", devices=1), tmp_path)
    from lightning.fabric.strategies import DDPStrategy

    strategy = DDPStrategy(find_unused_parameters=True, start_method="fork")
    Fabric(accelerator="cpu", devices=2, strategy=strategy).launch(train_on_ranks, tmp_path)
    one, first, second = (
        torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("1_0", "2_0", "2_1")
    )
    for name, value in one.items():
        torch.testing.assert_close(first[name], value, rtol=0, atol=1e-9)
        assert torch.equal(first[name], second[name])
