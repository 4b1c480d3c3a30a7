"""Conditioning changes what it says, at the scale it says, and is really used."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator, seeded
from audioinv.core.backbone import Backbone
from audioinv.core.conditioning import HyperConditioning, NormConditioning, build_conditioning

SMALL = {"layers": [1, 1, 1, 1], "stem_type": "deep", "stem_width": 4}
K = 4


def backbone(width: float = 0.125) -> Backbone:
    with seeded(0, "backbone"):
        return Backbone("resnet18", (1, 32, 20), width=width, dim=16, options=SMALL)


def hyper(width: float = 0.125, **options: object) -> HyperConditioning:
    with seeded(1, "hyper"):
        return HyperConditioning(backbone(width), K, **options)  # type: ignore[arg-type]


def naive_added(conditioning: HyperConditioning, name: str, i: Tensor) -> Tensor:
    """The formula of the paper, one basis at a time."""
    index = conditioning.names.index(name)
    block: Any = conditioning.embeddings[conditioning.blocks[index]]
    modulation: Any = conditioning.modulations[index]
    h = modulation.hidden.weight @ (block.weight @ i) + modulation.hidden.bias
    total = torch.zeros(modulation.shape)
    for j, coefficient in enumerate(h.clamp_min(0)):
        if hasattr(modulation, "full"):
            basis = modulation.full[j]
        else:
            basis = (modulation.left[j] @ modulation.right[j]) * modulation.gain**2
        total = total + coefficient * basis.reshape(modulation.shape)
    return total


@pytest.mark.parametrize(("rank", "gain"), [(0, 1.0), (2, 1.0), (2, 6.0)])
def test_added_weight_is_the_sum_over_bases(rank: int, gain: float) -> None:
    conditioning = hyper(bases=5, rank=rank, gain=gain)
    i = torch.tensor([1.0, 0.0, 0.3, 0.0])
    added = conditioning(i)
    for name in ("trunk.layer1.0.conv1.weight", "linear.weight"):
        torch.testing.assert_close(
            added[name], naive_added(conditioning, name, i), atol=1e-5, rtol=1e-4
        )


def test_stem_and_norms_are_not_generated() -> None:
    names = hyper().names
    assert not any("conv1." in name and "layer" not in name for name in names)
    assert not any("bn" in name for name in names)


@pytest.mark.parametrize("rank", [0, 2])
def test_with_the_stem_every_kernel_and_matrix_is_generated(rank: int) -> None:
    net, shared, every = backbone(), hyper(bases=5, rank=rank), hyper(bases=5, rank=rank, stem=True)
    kernels = {m.weight for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    assert every.names == [name for name, p in net.named_parameters() if p in kernels]
    stem = [name for name in every.names if name.startswith("trunk.conv1.")]
    assert len(stem) == 3 and [n for n in every.names if n not in stem] == shared.names
    i = torch.tensor([1.0, 0.0, 0.3, 0.0])
    for name in stem:
        expected = naive_added(every, name, i)
        torch.testing.assert_close(every(i)[name], expected, atol=1e-5, rtol=1e-4)
    grown = sum(p.numel() for p in every.parameters()) - sum(p.numel() for p in shared.parameters())
    own = [net.get_parameter(name) for name in stem]
    each = sum(rank * (len(w) + w[0].numel()) if rank else w.numel() for w in own)
    assert grown == 5 * each + 3 * 16 * K + 3 * 5 * 17, "bases, embeddings, hidden layers"


def test_names_that_are_skipped_go_before_the_stem() -> None:
    """Also what an encoder.json of before may say: nothing skipped."""
    assert hyper(skip=[]).names == hyper(stem=True).names
    some = hyper(stem=True, skip=["trunk.layer"]).names
    assert some == ["trunk.conv1.0.weight", "trunk.conv1.3.weight", "trunk.conv1.6.weight",
                    "linear.weight"]  # fmt: skip


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("rank", "gain"), [(0, 1.0), (3, 1.0), (3, 6.0)])
def test_modulation_starts_at_the_asked_scale_of_the_base(
    signed: bool, rank: int, gain: float
) -> None:
    net = backbone(0.25)
    with seeded(2, "hyper"):
        conditioning = HyperConditioning(net, K, rank=rank, scale=0.5, signed=signed, gain=gain)
    corners = torch.randint(0, 2, (256, K), generator=generator(0, "corners")).float()
    with torch.no_grad():
        drawn = [conditioning(i)["trunk.layer4.0.conv2.weight"] for i in corners]
    spread = torch.stack(drawn).var(0).mean().sqrt()
    base = net.get_parameter("trunk.layer4.0.conv2.weight").detach().std()
    assert 0.3 < float(spread / base) < 0.8


def adam_step(conditioning: HyperConditioning, lr: float, only: str = "") -> tuple[Tensor, float]:
    """One step down random gradients: what is added to the last weight, and how far down it was."""
    i = torch.tensor([1.0, 0.0, 1.0, 0.0])
    moved = [p for name, p in conditioning.named_parameters() if only in name]
    adam = torch.optim.Adam(moved, lr, eps=1e-15)
    before = conditioning(i)
    gradients = {
        name: torch.randn(added.shape, generator=generator(k, "gradient"))
        for k, (name, added) in enumerate(before.items())
    }
    torch.autograd.backward(list(before.values()), list(gradients.values()))
    adam.step()
    after = conditioning(i)
    down = sum(float(((before[n] - after[n]).detach() * g).mean()) for n, g in gradients.items())
    return after["linear.weight"].detach(), down


@pytest.mark.parametrize("factor", ["left", "right"])
def test_gain_is_a_learning_rate_of_the_factors(factor: str) -> None:
    at_six_times_the_rate, _ = adam_step(hyper(bases=3, rank=2), 6e-3, factor)
    added, _ = adam_step(hyper(bases=3, rank=2, gain=6.0), 1e-3, factor)
    torch.testing.assert_close(added, at_six_times_the_rate)


def test_gain_makes_up_for_what_low_rank_loses_of_a_step() -> None:
    full, low, gained = (
        adam_step(hyper(0.5, bases=8, signed=True, **options), 1e-4)[1]
        for options in ({}, {"rank": 2}, {"rank": 2, "gain": 6.0})
    )
    assert low < 0.5 * full < 0.8 * gained


def test_norm_conditioning_reaches_every_norm() -> None:
    net = backbone()
    conditioning = NormConditioning(net, K)
    added = conditioning(torch.ones(K))
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(added) == 2 * len(norms)
    assert not torch.equal(
        added["trunk.bn1.weight"], conditioning(torch.zeros(K))["trunk.bn1.weight"]
    )


def test_unknown_conditioning_is_refused() -> None:
    with pytest.raises(UserError, match="hyper, norm, prompt, none"):
        build_conditioning("film", backbone(), K)


@pytest.mark.parametrize(
    "option", [{"bases": 0}, {"rank": -1}, {"gain": 0.0}, {"gain": float("nan")}]
)
def test_numbers_out_of_range_are_refused(option: dict[str, float]) -> None:
    with pytest.raises(UserError, match=r"hyper.*embedding >= 1.*scale >= 0.*gain > 0"):
        hyper(**option)


@pytest.mark.parametrize("option", [{"start": "zero"}, {"start": "paper", "rank": 2}])
def test_a_start_that_there_is_not_is_refused(option: dict[str, object]) -> None:
    with pytest.raises(UserError, match=f"start='{option['start']}'.*give scaled, or paper with"):
        hyper(**option)


def test_an_option_that_no_conditioning_knows_is_refused() -> None:
    with pytest.raises(UserError, match=r"rnk.*bases.*rank"):
        build_conditioning("hyper", backbone(), K, rnk=4)
