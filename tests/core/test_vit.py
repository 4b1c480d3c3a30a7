"""Vision transformers as backbones: timm's own features, and one more token where asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor
from torch.nn import functional as F

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator, seeded
from audioinv.core.backbone import Vit, build_backbone
from audioinv.core.descriptor import DescriptorSpace
from audioinv.core.encoder import AmortisedEncoder
from tests.core.plain_frontend import PlainFrontend

SIZE = (3, 32, 24)
TINY = {"patch_size": 8, "depth": 2, "embed_dim": 48, "num_heads": 3}
SPACE = DescriptorSpace.single(["a", "b", "c"])


def maps(n: int = 4) -> Tensor:
    return torch.randn(n, *SIZE, generator=generator(0, "maps"))


def vit(pool: str = "token", dim: int = 0, **options: Any) -> Any:
    """A tiny ViT whose weights are large enough for its attention to be uneven."""
    with seeded(0, "vit"):
        backbone = build_backbone(
            "vit_tiny_patch16_224", SIZE, pool=pool, dim=dim, options={**TINY, **options}
        )
        with torch.no_grad():
            for parameter in backbone.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.2)
    return backbone.eval()


def encoder(conditioning: str, pool: str = "token") -> AmortisedEncoder:
    backbone = {"name": "vit_tiny_patch16_224", "pool": pool, "dim": 6, "options": TINY}
    conditioned = {"name": conditioning, "signed": True}
    with seeded(0, "encoder"):
        return AmortisedEncoder(PlainFrontend(SIZE), backbone, conditioned, SPACE).eval()


def naive_tokens(net: Any, x: Tensor, prompt: Tensor | None) -> list[Tensor]:
    """Tokens after each block, through the final norm, written out (Dosovitskiy et al., 2021)."""
    p, trunk = dict(net.trunk.named_parameters()), net.trunk
    width, heads = p["cls_token"].shape[2], trunk.blocks[0].attn.num_heads

    def norm(tokens: Tensor, name: str) -> Tensor:
        return F.layer_norm(tokens, (width,), p[f"{name}.weight"], p[f"{name}.bias"], 1e-6)

    def linear(tokens: Tensor, name: str) -> Tensor:
        return tokens @ p[f"{name}.weight"].T + p[f"{name}.bias"]

    patches = F.conv2d(x, p["patch_embed.proj.weight"], p["patch_embed.proj.bias"], stride=8)
    rows = [p["cls_token"].expand(len(x), 1, width), patches.flatten(2).transpose(1, 2)]
    tokens = torch.cat(rows, dim=1) + p["pos_embed"]
    if prompt is not None:
        tokens = torch.cat([tokens, prompt.expand(len(x), 1, width)], dim=1)
    after = []
    for k in range(len(trunk.blocks)):
        block = f"blocks.{k}"
        q, key, v = linear(norm(tokens, f"{block}.norm1"), f"{block}.attn.qkv").chunk(3, dim=2)
        mixed = []
        for q_h, k_h, v_h in zip(*(t.chunk(heads, dim=2) for t in (q, key, v)), strict=True):
            scores = q_h @ k_h.transpose(1, 2) / (width / heads) ** 0.5
            mixed.append(scores.softmax(2) @ v_h)
        tokens = tokens + linear(torch.cat(mixed, dim=2), f"{block}.attn.proj")
        hidden = F.gelu(linear(norm(tokens, f"{block}.norm2"), f"{block}.mlp.fc1"))
        tokens = tokens + linear(hidden, f"{block}.mlp.fc2")
        after.append(norm(tokens, "norm"))
    return after


def close(ours: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-4)


def test_features_are_timms_class_token_after_the_final_norm() -> None:
    net = vit()
    close(net(maps()), net.trunk(maps()))
    assert net.dim == 48
    readout = vit(dim=5)
    close(readout(maps()), readout.linear(readout.trunk(maps())))
    assert readout.dim == 5


def test_layers_all_are_the_class_tokens_of_every_block() -> None:
    net = vit(dim=5)
    blocks = net.trunk.forward_intermediates(
        maps(), norm=True, return_prefix_tokens=True, intermediates_only=True
    )
    expected = [prefix[:, 0] for _, prefix in blocks] + [net(maps())]
    close(net(maps(), "all"), torch.cat(expected, dim=1))


def test_other_pools_take_the_patches_where_they_lie() -> None:
    patches = vit().trunk.forward_features(maps())[:, 1:].unflatten(1, (4, 3))
    close(vit("global")(maps()), patches.mean((1, 2)))
    close(vit("time")(maps()), patches.mean(2).transpose(1, 2).flatten(1))


@pytest.mark.parametrize("pool", ["token", "global"])
def test_a_prompt_is_one_more_token_that_the_others_attend_to(pool: str) -> None:
    net = vit(pool)
    without = net(maps())
    net.add_prompt()
    value = torch.randn(1, 1, 48, generator=generator(0, "prompt"))
    net.prompt.data.copy_(value)
    after = naive_tokens(net, maps(), value)
    assert after[-1].shape[1] == 1 + 12 + 1
    expected = [t[:, 0] if pool == "token" else t[:, 1:13].mean(1) for t in after]
    close(net(maps()), expected[-1])
    close(net(maps(), "all"), torch.cat(expected, dim=1))
    assert (net(maps()) - without).norm() > 0.05 * without.norm()


def test_the_sequence_is_class_token_patches_prompt() -> None:
    net = vit()
    before = net.tokens(maps())
    assert before.shape == (4, 1 + 12, 48)
    net.add_prompt()
    net.prompt.data.fill_(7.0)
    tokens = net.tokens(maps())
    assert torch.equal(tokens[:, :-1], before)
    assert (tokens[:, -1] == 7.0).all(), "after the position embedding: nothing is added to it"


def test_only_the_prompt_conditioning_appends_a_prompt() -> None:
    for conditioning in ("hyper", "norm", "none"):
        backbone = encoder(conditioning).backbone
        assert "prompt" not in dict(backbone.named_parameters())
        assert backbone.tokens(maps()).shape[1] == 13
    assert encoder("prompt").backbone.tokens(maps()).shape[1] == 14


def test_hyper_modulates_matrices_and_neither_tokens_nor_positions() -> None:
    conditioning: Any = encoder("hyper").conditioning
    names = conditioning.names
    assert "trunk.blocks.1.attn.qkv.weight" in names
    assert not [n for n in names if "token" in n or "pos_embed" in n or "patch_embed" in n]


@pytest.mark.parametrize("rank", [0, 2])
def test_with_the_stem_patches_are_made_under_each_descriptor(rank: int) -> None:
    """By strided convolutions, whose kernels every example has of its own."""
    backbone = {"name": "vit_tiny_patch16_224", "pool": "token", "dim": 6, "options": TINY}
    options = {"name": "hyper", "bases": 3, "rank": rank, "stem": True}
    with seeded(0, "encoder"):
        net = AmortisedEncoder(PlainFrontend(SIZE), backbone, options, SPACE).eval()
    names: Any = net.conditioning
    assert "trunk.patch_embed.proj.weight" in names.names
    assert not [n for n in names.names if "token" in n or "pos_embed" in n]
    descriptors = torch.tensor([[1.0, 1, 1], [0, 1, 0], [0.3, 0, 0.7], [0, 1, 0]])
    alone = [net.at(i)(one)[0] for one, i in zip(maps().split(1), descriptors, strict=True)]
    close(net(maps(), descriptors), torch.stack(alone))
    patches = [net.at(i).backbone.trunk.patch_embed(maps()) for i in descriptors[:2]]
    assert (patches[0] - patches[1]).norm() > 0.1 * patches[0].norm()


@pytest.mark.parametrize("conditioning", ["prompt", "hyper", "norm"])
@pytest.mark.parametrize("pool", ["token", "global"])
@pytest.mark.parametrize("layers", ["last", "all"])
def test_at_equals_the_conditioned_forward(conditioning: str, pool: str, layers: str) -> None:
    net = encoder(conditioning, pool)
    seen = []
    for i in (SPACE.all_on(), SPACE.parse("-a"), torch.tensor([0.2, 0.9, 0.5])):
        close(net.at(i)(maps(), layers), net(maps(), i, layers))
        seen.append(net(maps(), i, layers))
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (seen[one] - seen[other]).norm() > 0.002 * seen[one].norm()


def test_saved_vit_gives_the_same_features(tmp_path: Path) -> None:
    net = encoder("prompt")
    net.backbone.prompt.data.add_(0.5)  # the base is part of what is saved
    net.save(tmp_path)
    loaded = AmortisedEncoder.load(tmp_path, lambda config: PlainFrontend(SIZE))
    i = torch.tensor([1.0, 0.0, 0.5])
    assert torch.equal(loaded(maps(), i), net(maps(), i))
    assert not torch.equal(loaded(maps(), i), loaded(maps(), SPACE.all_on()))


def test_it_is_built_for_the_maps_that_it_will_see() -> None:
    assert vit().trunk.patch_embed.grid_size == (4, 3)
    flexible = vit(dynamic_img_size=True)
    assert flexible(torch.zeros(2, 3, 32, 40)).shape == (2, 48)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "vit_small_patch16_224"])
def test_stock_sizes_are_timms(name: str) -> None:
    with torch.device("meta"):
        ours = build_backbone(name, (3, 224, 224), pool="token", dim=0)
        stock = timm.create_model(name, num_classes=0)
    shapes = {n: p.shape for n, p in stock.named_parameters()}
    assert isinstance(ours, Vit)
    assert {n: p.shape for n, p in ours.trunk.named_parameters()} == shapes


def test_pools_that_a_network_cannot_offer_are_explained() -> None:
    with pytest.raises(UserError, match=r"pool of vit_tiny_patch16_224.*'max'.*time.*token"):
        vit("max")
    with pytest.raises(UserError, match=r"pool of resnet18.*'token'.*time.*global.*both"):
        build_backbone("resnet18", SIZE, pool="token")
    with pytest.raises(UserError, match=r"vit_tiny_patch16_224.*pool.*global"):
        vit("token", class_token=False, global_pool="avg")
    with pytest.raises(UserError, match=r"vit_tiny_patch16_224.*'num_heads': 5"):
        vit(num_heads=5)
