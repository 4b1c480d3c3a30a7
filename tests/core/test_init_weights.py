"""Checkpoints of MoCo-v2 and MoCo-v3, and position embeddings of another grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator, seeded
from audioinv.core.backbone import Backbone, build_backbone
from audioinv.core.init_weights import load_trunk

TINY = {"patch_size": 8, "depth": 2, "embed_dim": 48, "num_heads": 3}
RESNET = {"layers": [1, 1, 1, 1], "channels": [8, 16, 32, 64]}


def vit(size: int = 32, **options: Any) -> Any:
    with seeded(0, "vit"):
        return build_backbone(
            "vit_tiny_patch16_224", (3, size, size), pool="token", options={**TINY, **options}
        ).eval()


def resnet() -> Backbone:
    with seeded(0, "resnet"):
        options = {"layers": [1, 1, 1, 1]}
        return Backbone("resnet18", (3, 32, 32), width=0.125, pool="global", options=options).eval()


def model(seed: int, name: str, **options: Any) -> Any:
    """A timm network of its own, with a classifier."""
    with seeded(seed, "model"):
        return timm.create_model(name, **options).eval()


def prefixed(prefix: str, network: Any, head: str) -> dict[str, Tensor]:
    """Its state dict as a wrapped encoder of MoCo, whose classifier became a projector."""
    state = {k: v for k, v in network.state_dict().items() if not k.startswith(head)}
    return {f"{prefix}{k}": v for k, v in {**state, f"{head}.0.weight": torch.ones(8, 8)}.items()}


def x(size: int = 32) -> Tensor:
    return torch.randn(2, 3, size, size, generator=generator(0, "maps"))


@pytest.mark.parametrize("ending", ["pth.tar", "pt"])
def test_a_moco_v3_checkpoint_gives_its_base_encoder(tmp_path: Path, ending: str) -> None:
    query, momentum = (model(s, "vit_tiny_patch16_224", img_size=32, **TINY) for s in (1, 2))
    state = {
        **prefixed("module.momentum_encoder.", momentum, "head"),
        **prefixed("module.base_encoder.", query, "head"),
        "module.predictor.0.weight": torch.ones(8, 8),
    }
    optimiser = {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]}
    path = tmp_path / f"vit.{ending}"
    torch.save({"epoch": 300, "arch": "vit", "state_dict": state, "optimizer": optimiser}, path)
    net = vit()
    assert load_trunk(net, path) == len(net.trunk.state_dict())
    torch.testing.assert_close(net.trunk(x()), query.forward_features(x())[:, 0])


def test_a_moco_v2_checkpoint_gives_its_query_encoder(tmp_path: Path) -> None:
    query, key = (model(s, "resnet18", **RESNET) for s in (1, 2))
    state = {
        **prefixed("module.encoder_q.", query, "fc"),
        **prefixed("module.encoder_k.", key, "fc"),
        "module.queue": torch.ones(8, 16),
    }
    torch.save({"state_dict": state}, tmp_path / "moco.pth.tar")
    net = resnet()
    assert load_trunk(net, tmp_path / "moco.pth.tar") == len(net.trunk.state_dict())
    expected = query.forward_features(x()).mean((2, 3))
    torch.testing.assert_close(net.trunk(x()), expected)


@pytest.mark.parametrize("wrap", [lambda s: {"model": s}, lambda s: {"state_dict": {"model": s}}])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_nested_and_wrapped_state_dicts(tmp_path: Path, wrap: Any, prefix: str) -> None:
    given = model(1, "resnet18", **RESNET)
    torch.save(wrap({f"{prefix}{k}": v for k, v in given.state_dict().items()}), tmp_path / "w.pth")
    net = resnet()
    assert load_trunk(net, tmp_path / "w.pth") == len(net.trunk.state_dict())
    assert torch.equal(net.trunk.conv1.weight, given.conv1.weight)


def test_a_safetensors_file_of_timm_loads_as_before(tmp_path: Path) -> None:
    given = model(1, "vit_tiny_patch16_224", img_size=32, **TINY)
    save_file(given.state_dict(), tmp_path / "w.safetensors")
    net = vit()
    assert load_trunk(net, tmp_path / "w.safetensors") == len(net.trunk.state_dict())
    torch.testing.assert_close(net.trunk(x()), given.forward_features(x())[:, 0])


@pytest.mark.parametrize("size", [48, 32, 16])
def test_position_embeddings_are_interpolated_to_the_grid(tmp_path: Path, size: int) -> None:
    given = model(1, "vit_tiny_patch16_224", img_size=32, **TINY).state_dict()
    torch.save(given, tmp_path / "w.pt")
    net = vit(size)
    assert load_trunk(net, tmp_path / "w.pt") == len(net.trunk.state_dict())
    token, grid = given["pos_embed"][:, :1], given["pos_embed"][:, 1:]
    plane = grid.transpose(1, 2).unflatten(2, (4, 4))
    plane = F.interpolate(plane, (size // 8,) * 2, mode="bicubic", antialias=True)
    expected = torch.cat([token, plane.flatten(2).transpose(1, 2)], dim=1)
    torch.testing.assert_close(net.trunk.pos_embed.data, expected)


def test_position_embeddings_of_the_same_oblong_grid_stay(tmp_path: Path) -> None:
    given = model(1, "vit_tiny_patch16_224", img_size=(32, 24), **TINY).state_dict()
    torch.save(given, tmp_path / "w.pt")
    net = vit(img_size=(32, 24), dynamic_img_size=True)
    assert load_trunk(net, tmp_path / "w.pt") == len(net.trunk.state_dict())
    assert torch.equal(net.trunk.pos_embed, given["pos_embed"])


def test_a_prompt_stays_where_the_trunk_is_loaded(tmp_path: Path) -> None:
    torch.save(
        model(1, "vit_tiny_patch16_224", img_size=32, **TINY).state_dict(), tmp_path / "w.pt"
    )
    net = vit()
    net.add_prompt()
    net.prompt.data.fill_(3.0)
    load_trunk(net, tmp_path / "w.pt")
    assert (net.prompt == 3.0).all()


def test_the_heads_of_moco_v3s_small_vit_are_asked_for(tmp_path: Path) -> None:
    """Its weights fit timm's six heads, and would silently compute something else."""
    options = {"embed_dim": 384, "depth": 1, "num_heads": 12}
    given = model(1, "vit_small_patch16_224", img_size=32, **options)
    state = prefixed("module.base_encoder.", given, "head")
    torch.save({"state_dict": state}, tmp_path / "w.pth.tar")
    with pytest.raises(UserError, match="num_heads: 12"):
        load_trunk(vit(**{**options, "patch_size": 16, "num_heads": 6}), tmp_path / "w.pth.tar")
    net = vit(**{**options, "patch_size": 16})
    assert load_trunk(net, tmp_path / "w.pth.tar") == len(net.trunk.state_dict())
    torch.testing.assert_close(net.trunk(x()), given.forward_features(x())[:, 0])


def test_files_that_hold_something_else_are_one_clear_error(tmp_path: Path) -> None:
    for number, content in enumerate(([1, 2], 3.0, {"pos_embed": "x"}, {"state_dict": None})):
        torch.save(content, tmp_path / f"{number}.pt")
        with pytest.raises(UserError, match=f"{number}.pt"):
            load_trunk(vit(), tmp_path / f"{number}.pt")
    torch.save({"epoch": 3, "state_dict": {"a": 1}}, tmp_path / "none.pt")
    with pytest.raises(UserError, match=r"none\.pt.*conv1\.weight"):
        load_trunk(resnet(), tmp_path / "none.pt")
