"""The prompt token: the mean of MLPs, at the scale of the other tokens, and really used."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator, seeded
from audioinv.core.backbone import build_backbone
from audioinv.core.conditioning import PromptConditioning, build_conditioning

SIZE = (3, 32, 32)
TINY = {"patch_size": 8, "depth": 2, "embed_dim": 48, "num_heads": 3}
K = 5


def pair(**options: Any) -> tuple[Any, Any]:
    """A tiny ViT and its conditioning."""
    with seeded(0, "prompt"):
        net = build_backbone("vit_tiny_patch16_224", SIZE, pool="token", dim=0, options=TINY)
        return net.eval(), build_conditioning("prompt", net, K, **options)


def maps(n: int = 8) -> Tensor:
    return torch.randn(n, *SIZE, generator=generator(0, "maps"))


def features(net: Any, conditioning: nn.Module, i: Tensor) -> Tensor:
    weights = {"prompt": net.prompt + conditioning(i)["prompt"]}
    return torch.func.functional_call(net, weights, (maps(),))


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("mlps", [1, 7])
def test_it_is_the_mean_of_mlps(mlps: int, signed: bool) -> None:
    _, conditioning = pair(mlps=mlps, signed=signed)
    i = torch.tensor([1.0, 0.0, 0.3, 0.0, 0.8])
    total = torch.zeros(48)
    for m in range(mlps):
        part = slice(48 * m, 48 * (m + 1))
        mlp = nn.Sequential(nn.Linear(K, 48), nn.ReLU(), nn.Linear(48, 48, bias=False))
        mlp[0].weight.data = conditioning.hidden.weight[part]
        mlp[0].bias.data = conditioning.hidden.bias[part]
        mlp[2].weight.data = conditioning.output.weight[:, part]
        total += mlp(2 * i - 1 if signed else i)
    added = conditioning(i)
    assert list(added) == ["prompt"]
    torch.testing.assert_close(added["prompt"], (total / mlps)[None, None], atol=1e-5, rtol=1e-4)


def test_paper_setting_counts_the_papers_parameters() -> None:
    """256 MLPs K -> 768 -> 768, whose last biases are one: the base of the prompt."""
    with torch.device("meta"):
        net = build_backbone("vit_base_patch16_224", (3, 224, 224), pool="token", dim=0)
        conditioning = PromptConditioning(net, K, mlps=256)
    expected = 256 * (K * 768 + 768 + 768 * 768) + 768
    assert sum(p.numel() for p in conditioning.parameters()) + net.prompt.numel() == expected


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("mlps", [1, 16])
def test_it_starts_at_the_asked_scale_of_the_other_tokens(mlps: int, signed: bool) -> None:
    net, conditioning = pair(mlps=mlps, signed=signed, scale=0.5)
    corners = torch.randint(0, 2, (256, K), generator=generator(0, "corners")).float()
    with torch.no_grad():
        spread = torch.stack([conditioning(i)["prompt"] for i in corners]).var(0).mean().sqrt()
        others = net.tokens(maps())[:, :-1].square().mean().sqrt()
    assert 0.3 < float(spread / others) < 0.8


@torch.no_grad()
def test_the_prompt_starts_as_in_the_released_code() -> None:
    """256 MLPs as torch draws them: a spread of .007 over the three corners, K = 2; ours .54."""
    corners = torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    found = {}
    for start in ("paper", "scaled"):
        with seeded(0, "prompt"):
            net = build_backbone("vit_tiny_patch16_224", SIZE, pool="token", dim=0, options=TINY)
            made = PromptConditioning(net, 2, mlps=256, start=start)  # type: ignore[arg-type]
        prompts = torch.stack([net.prompt + made(corner)["prompt"] for corner in corners])
        found[start] = float(prompts.var(0, correction=0).mean().sqrt())
        bound = 48**-0.5
        if start == "paper":
            assert float(made.output.weight.abs().max()) == pytest.approx(bound, rel=1e-2)
            expected = bound / math.sqrt(3 * 256)  # of a mean of 256 uniform biases
            assert float(net.prompt.std()) == pytest.approx(expected, rel=0.3)
    assert 0.005 < found["paper"] < 0.009
    assert 0.4 < found["scaled"] < 0.7


@pytest.mark.parametrize("signed", [False, True])
def test_the_descriptor_changes_features_from_the_start(signed: bool) -> None:
    """Flipping one of five components: about 2% of the features' length, 4% if signed."""
    net, conditioning = pair(signed=signed)
    with torch.no_grad():
        on = features(net, conditioning, torch.ones(K))
        for k in range(K):
            off = features(net, conditioning, 1 - torch.eye(K)[k])
            assert (on - off).norm() > 0.01 * on.norm()


def test_the_gradient_reaches_base_and_mlps_and_descriptor() -> None:
    net, conditioning = pair(mlps=3)
    i = torch.full((K,), 0.5, requires_grad=True)
    features(net, conditioning, i)[:, 0].sum().backward()
    for value in (i, net.prompt, *conditioning.parameters()):
        assert value.grad is not None
        assert value.grad.isfinite().all()
        assert value.grad.abs().max() > 0
    for m in range(3):
        assert conditioning.output.weight.grad[:, 48 * m : 48 * (m + 1)].abs().max() > 0


def test_a_network_without_tokens_and_bad_numbers_are_explained() -> None:
    net = build_backbone("resnet18", SIZE, width=0.125, options={"layers": [1, 1, 1, 1]})
    with pytest.raises(UserError, match=r"prompt.*ViTs.*vit_small_patch16_224"):
        build_conditioning("prompt", net, K)
    with pytest.raises(UserError, match="mlps=0"):
        pair(mlps=0)
    with pytest.raises(UserError, match="scale=-1"):
        pair(scale=-1)
    with pytest.raises(UserError, match="start='zero'; give scaled or paper"):
        pair(start="zero")


def test_a_token_for_every_example_equals_one_by_one() -> None:
    net, conditioning = pair(signed=True)
    descriptors = torch.rand(8, K, generator=generator(0, "i"))
    how: Any = conditioning.per_example(descriptors, net)
    assert not how.hooks
    together = torch.func.functional_call(net, how.weights, (maps(),))
    for row, i in enumerate(descriptors):
        alone = features(net, conditioning, i)[row]
        torch.testing.assert_close(together[row], alone, atol=1e-5, rtol=1e-5)
