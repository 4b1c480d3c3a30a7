"""Conditioning changes what it says, at the scale it says, and is really used."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from audioinv.core.backbone import Backbone
from audioinv.core.conditioning import HyperConditioning, NormConditioning, build_conditioning
from audioinv.core.errors import UserError
from audioinv.core.randomness import generator, seeded

SMALL = {"layers": [1, 1, 1, 1], "stem_type": "deep", "stem_width": 4}
K = 4


def backbone(width: float = 0.125) -> Backbone:
    with seeded(0, "backbone"):
        return Backbone("resnet18", (1, 32, 20), width=width, dim=16, options=SMALL)


def hyper(**options: object) -> HyperConditioning:
    with seeded(1, "hyper"):
        return HyperConditioning(backbone(), K, **options)  # type: ignore[arg-type]


def naive_added(conditioning: HyperConditioning, name: str, i: Tensor) -> Tensor:
    """The formula of the paper, one basis at a time."""
    index = conditioning.names.index(name)
    block = conditioning.embeddings[conditioning.blocks[index]]
    modulation = conditioning.modulations[index]
    h = modulation.hidden.weight @ (block.weight @ i) + modulation.hidden.bias
    total = torch.zeros(modulation.shape)
    for j, coefficient in enumerate(h.clamp_min(0)):
        if hasattr(modulation, "full"):
            basis = modulation.full[j]
        else:
            basis = modulation.left[j] @ modulation.right[j]
        total = total + coefficient * basis.reshape(modulation.shape)
    return total


@pytest.mark.parametrize("rank", [0, 2])
def test_added_weight_is_the_sum_over_bases(rank: int) -> None:
    conditioning = hyper(bases=5, rank=rank)
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


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("rank", [0, 3])
def test_modulation_starts_at_the_asked_scale_of_the_base(signed: bool, rank: int) -> None:
    net = backbone(0.25)
    with seeded(2, "hyper"):
        conditioning = HyperConditioning(net, K, rank=rank, scale=0.5, signed=signed)
    corners = torch.randint(0, 2, (256, K), generator=generator(0, "corners")).float()
    with torch.no_grad():
        drawn = [conditioning(i)["trunk.layer4.0.conv2.weight"] for i in corners]
    spread = torch.stack(drawn).var(0).mean().sqrt()
    base = net.get_parameter("trunk.layer4.0.conv2.weight").std()
    assert 0.3 < float(spread / base) < 0.8


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
