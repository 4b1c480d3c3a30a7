"""ResNets for small and for large maps: what each stem is, and that a saved encoder names it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from audioinv.base.errors import UserError
from audioinv.base.randomness import seeded
from audioinv.core.backbone import Backbone, build_backbone
from audioinv.core.descriptor import DescriptorSpace
from audioinv.core.encoder import AmortisedEncoder
from tests.core.plain_frontend import PlainFrontend

SIZE = (3, 32, 32)
SPACE = DescriptorSpace.single(["a", "b"])


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
@pytest.mark.parametrize(("stem", "kernel", "stride"), [("stock", 7, 4), ("cifar", 3, 1)])
def test_stems(name: str, stem: str, kernel: int, stride: int) -> None:
    with torch.device("meta"):
        net = Backbone(name, (3, 64, 64), stem=stem, pool="global", dim=0).eval()
        maps = net._maps(torch.zeros(2, 3, 64, 64))
        features = net(torch.zeros(2, 3, 64, 64))
    channels = 512 if name == "resnet18" else 2048
    assert net.trunk.conv1.weight.shape == (64, 3, kernel, kernel)
    assert maps[1].shape[2] == 64 // stride, "of the first stage"
    assert maps[-1].shape == (2, channels, 8 // stride, 8 // stride)
    assert features.shape == (2, channels)
    assert net.dim == channels


@pytest.mark.parametrize("stem", ["stock", "no_pool", "cifar"])
def test_a_saved_encoder_names_its_stem_and_is_built_with_it(tmp_path: Path, stem: str) -> None:
    options = {"layers": [1, 1, 1, 1]}
    backbone: dict[str, Any] = {"name": "resnet18", "width": 0.125, "stem": stem}
    backbone |= {"pool": "global", "dim": 0, "options": options}
    encoder = AmortisedEncoder(
        PlainFrontend(SIZE), backbone, {"name": "hyper", "bases": 2}, SPACE
    ).eval()
    encoder.save(tmp_path)
    assert json.loads((tmp_path / "encoder.json").read_text())["backbone"]["stem"] == stem
    loaded = AmortisedEncoder.load(tmp_path, lambda config: PlainFrontend(SIZE))
    x, i = torch.ones(2, 3, 32, 32), SPACE.all_on()
    assert torch.equal(loaded(x, i), encoder(x, i))
    assert loaded.backbone.trunk.conv1.kernel_size == ((3, 3) if stem == "cifar" else (7, 7))


@pytest.mark.parametrize("stem", [False, True])
def test_an_encoder_of_before_loads_with_the_stem_that_it_shared(
    tmp_path: Path, stem: bool
) -> None:
    """Its encoder.json does not say `stem`; one that does has a first layer for each corner."""
    backbone = {"name": "resnet18", "width": 0.125, "options": {"layers": [1, 1, 1, 1]}}
    conditioning = {"name": "hyper", "bases": 2, **({"stem": True} if stem else {})}
    with seeded(0, "encoder"):  # of two bases none may act
        encoder = AmortisedEncoder(PlainFrontend(SIZE), backbone, conditioning, SPACE).eval()
    encoder.save(tmp_path)
    assert ("stem" in json.loads((tmp_path / "encoder.json").read_text())["conditioning"]) is stem
    loaded = AmortisedEncoder.load(tmp_path, lambda config: PlainFrontend(SIZE))
    x, corners = torch.ones(2, 3, 32, 32), (SPACE.all_on(), SPACE.parse("-a"))
    assert all(torch.equal(loaded(x, i), encoder(x, i)) for i in corners)
    kernels = [loaded.copied_at(i).backbone.trunk.conv1.weight for i in corners]
    assert torch.equal(*kernels) is not stem


def test_an_unknown_stem_and_a_stem_for_a_vit_are_explained() -> None:
    with pytest.raises(UserError, match=r"stem.*'tiny'.*stock, no_pool, cifar"):
        Backbone("resnet18", (3, 32, 32), stem="tiny")
    with pytest.raises(UserError, match=r"'cifar'.*ResNets.*stock"):
        backbone = {"name": "vit_tiny_patch16_224", "pool": "token", "stem": "cifar"}
        backbone["options"] = {"depth": 1}
        AmortisedEncoder(PlainFrontend(SIZE), backbone, {"name": "none"}, SPACE)


@pytest.mark.parametrize(
    ("options", "near"),
    [
        ({"name": "resnet18", "stem": "cifr"}, "cifar"),
        ({"name": "resnet18", "stem": "no-pool"}, "no_pool"),
        ({"name": "resnet18", "pool": "tiem"}, "time"),
        ({"name": "resent18"}, "resnet18"),
        ({"name": "statistic"}, "statistics"),
    ],
)
def test_near_misses_are_suggested(options: dict[str, str], near: str) -> None:
    with pytest.raises(UserError) as refused:
        build_backbone(input_size=SIZE, **options)
    assert f"did you mean {near}?" in str(refused.value)
