from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator, seeded
from audioinv.core.descriptor import DescriptorSpace
from audioinv.core.encoder import AmortisedEncoder
from tests.core.plain_frontend import PlainFrontend

SIZE = (1, 24, 16)
SPACE = DescriptorSpace.single(["a", "b", "c"])


def make(name: str = "hyper", pool: str = "time", **options: Any) -> AmortisedEncoder:
    backbone = {
        "name": "resnet18",
        "width": 0.125,
        "dim": 12,
        "pool": pool,
        "options": {"layers": [1, 1, 1, 1], "stem_type": "deep", "stem_width": 4},
    }
    with seeded(0, "encoder"):
        return AmortisedEncoder(
            PlainFrontend(SIZE), backbone, {"name": name, **options}, SPACE
        ).eval()


def maps(n: int = 6) -> Tensor:
    return torch.randn(n, 1, 24, 16, generator=generator(0, "maps"))


@pytest.mark.parametrize("conditioning", ["hyper", "norm", "none"])
@pytest.mark.parametrize("layers", ["last", "all"])
def test_at_equals_the_conditioned_forward(conditioning: str, layers: str) -> None:
    encoder, x = make(conditioning), maps()
    for i in (SPACE.all_on(), torch.tensor([0.2, 0.9, 0.5])):
        torch.testing.assert_close(
            encoder.at(i)(x, layers), encoder(x, i, layers), atol=1e-5, rtol=1e-5
        )


def test_at_does_not_touch_the_encoder() -> None:
    encoder = make()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    encoder.at(SPACE.all_on())
    encoder.recalibrated(maps(32))
    assert all(torch.equal(before[n], v) for n, v in encoder.state_dict().items())


@pytest.mark.parametrize("conditioning", ["hyper", "norm"])
def test_the_descriptor_changes_features_from_the_start(conditioning: str) -> None:
    """An encoder that starts unconditioned tends to stay so."""
    x = maps(32)
    encoder = make(conditioning).recalibrated(x)
    on, off = encoder.at("all")(x), encoder.at("-a")(x)
    cosine = torch.cosine_similarity(on - on.mean(0), off - off.mean(0), dim=1).mean()
    assert float(cosine) < 0.98


CONDITIONINGS = [
    {"name": "hyper", "bases": 8},  # in groups
    {"name": "hyper", "bases": 8, "rank": 2, "gain": 3.0},  # the others in one pass
    {"name": "hyper", "bases": 3, "rank": 2, "signed": True},
    {"name": "hyper", "bases": 3, "rank": 2, "signed": True, "stem": True},
    {"name": "norm"},
    {"name": "none"},
    {"name": "hyper", "bases": 3, "stem": True},
]


@pytest.mark.parametrize("conditioning", CONDITIONINGS, ids=str)
@pytest.mark.parametrize("layers", ["last", "all"])
def test_one_descriptor_per_example_equals_one_by_one(
    conditioning: dict[str, Any], layers: str
) -> None:
    encoder, x = make(**conditioning), maps()
    corners = [[1, 1, 1], [0, 1, 0], [1, 1, 1], [0.3, 0, 0.7], [0, 1, 0], [0, 0, 1]]
    descriptors = torch.tensor(corners).float()
    together = encoder(x, descriptors, layers)
    for row, i in enumerate(descriptors):
        alone = encoder(x[row : row + 1], i, layers)[0]
        torch.testing.assert_close(together[row], alone, atol=1e-5, rtol=1e-5)
    plain = encoder.at(descriptors[0])(x, layers)  # no hook is left behind
    torch.testing.assert_close(encoder(x, descriptors[0], layers), plain, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("conditioning", CONDITIONINGS[1:5], ids=str)
def test_one_pass_gives_the_gradients_of_one_by_one(conditioning: dict[str, Any]) -> None:
    """Of every parameter, and of the descriptors themselves."""
    encoder, x = make(**conditioning), maps()
    descriptors = torch.rand(6, 3, generator=generator(0, "i"), requires_grad=True)
    sought = [descriptors, *encoder.parameters()]
    direction = torch.randn(6, 12, generator=generator(0, "direction"))
    together = (encoder(x, descriptors) * direction).sum()
    rows = zip(x.split(1), descriptors, direction, strict=True)
    alone = torch.stack([(encoder(one, i) * d).sum() for one, i, d in rows]).sum()
    for ours, theirs in zip(
        torch.autograd.grad(together, sought), torch.autograd.grad(alone, sought), strict=True
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


class Unusual(torch.nn.Module):
    """A first layer of another kind before an ordinary one."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.conv1 = torch.nn.Conv2d(2, 6, 3, **options)
        self.conv2 = torch.nn.Conv2d(6, 4, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(torch.relu(self.conv1(x))).mean((2, 3))


@pytest.mark.parametrize(
    "options",
    [{}, {"groups": 2}, {"padding": 1, "padding_mode": "circular"}, {"dilation": 2, "padding": 1},
     {"stride": 3, "padding": "valid"}],
)  # fmt: skip
def test_any_first_layer_is_modulated_for_each_example(options: dict[str, Any]) -> None:
    """In one pass where the layer is known well enough, else in groups; equal to one by one."""
    with seeded(0, "encoder"):
        conditioning = {"name": "hyper", "bases": 3, "rank": 2, "stem": True}
        front = PlainFrontend((2, 12, 12))
        encoder = AmortisedEncoder(front, Unusual(**options), conditioning, SPACE).eval()
    x = torch.randn(3, 2, 12, 12, generator=generator(0, "maps"))
    descriptors = torch.tensor([[1.0, 1, 1], [0, 1, 0], [1, 1, 1]])
    alone = [encoder.at(i)(one)[0] for one, i in zip(x.split(1), descriptors, strict=True)]
    torch.testing.assert_close(encoder(x, descriptors), torch.stack(alone), atol=1e-5, rtol=1e-5)
    kernels = [encoder.at(i).backbone.network.conv1.weight for i in descriptors]
    assert torch.equal(kernels[0], kernels[2]) and not torch.equal(kernels[0], kernels[1])


def test_training_mode_normalises_over_what_is_run_together() -> None:
    """Low rank: the whole batch. Full bases: each group of equal descriptors, as if alone."""
    x, descriptors = maps(8), torch.tensor([[1.0, 1, 1], [0, 1, 0]]).repeat_interleave(4, 0)
    full, low = make("hyper").train(), make("hyper", rank=2).train()
    both = torch.cat([full(x[:4], descriptors[0]), full(x[4:], descriptors[4])])
    torch.testing.assert_close(full(x, descriptors), both, atol=1e-5, rtol=1e-5)
    same = descriptors[:1].expand(8, -1)
    torch.testing.assert_close(low(x, same), low(x, descriptors[0]), atol=1e-4, rtol=1e-4)
    with torch.no_grad():
        apart = torch.cat([low(x[:4], descriptors[0]), low(x[4:], descriptors[4])])
        assert float((low(x, descriptors) - apart).abs().max()) > 1e-2


def test_calibration_normalises_at_the_descriptor_in_use() -> None:
    x = maps(128) * 5 + 3
    plain = make().recalibrated(x).at("b")
    stem = plain.backbone.trunk.conv1[0](x)
    mean = plain.backbone.trunk.conv1[1].running_mean
    torch.testing.assert_close(mean, stem.mean((0, 2, 3)), atol=1e-4, rtol=1e-4)


def test_layers_all_puts_every_stage_before_the_last_features() -> None:
    encoder, x = make(pool="global"), maps()
    everything = encoder(x, SPACE.all_on(), "all")
    torch.testing.assert_close(everything[:, -12:], encoder(x, SPACE.all_on()))
    assert everything.shape[1] == 8 + 8 + 16 + 32 + 64 + 12


def test_both_gives_the_last_layer_rows_and_columns() -> None:
    """A shift along the last axis changes the mean over it little, and the columns much."""
    x = maps()
    for pool, inputs in (("global", 64), ("time", 64), ("both", 64 + 64)):  # 64 maps of 1 x 1
        encoder = make(pool=pool)
        assert encoder.backbone.linear.in_features == inputs
        everything = encoder(x, SPACE.all_on(), "all")
        torch.testing.assert_close(everything[:, -12:], encoder(x, SPACE.all_on()))
    wide = make("none", "both").backbone
    pooled = wide._pool_last(torch.arange(24.0).view(1, 2, 3, 4))
    rows = [1.5, 5.5, 9.5, 13.5, 17.5, 21.5]
    columns = [4.0, 5.0, 6.0, 7.0, 16.0, 17.0, 18.0, 19.0]
    assert pooled[0].tolist() == rows + columns


def test_saved_encoder_gives_the_same_features(tmp_path: Path) -> None:
    encoder, x = make(), maps()
    encoder.save(tmp_path, {"seed": 0})
    loaded = AmortisedEncoder.load(tmp_path, lambda config: PlainFrontend(SIZE))
    i = torch.tensor([1.0, 0.0, 0.5])
    assert torch.equal(loaded(x, i), encoder(x, i))
    assert loaded.space.names == SPACE.names


def test_damaged_encoder_is_one_clear_error(tmp_path: Path) -> None:
    make().save(tmp_path)
    weights = tmp_path / "encoder.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"encoder\.safetensors|no readable encoder"):
        AmortisedEncoder.load(tmp_path, lambda config: PlainFrontend(SIZE))
    weights.unlink()
    with pytest.raises(UserError):
        AmortisedEncoder.load(tmp_path, lambda config: PlainFrontend(SIZE))


def test_unknown_backbone_and_pool_are_explained() -> None:
    space = SPACE
    with pytest.raises(UserError, match=r"'resnet19'.*resnet18"):
        AmortisedEncoder(PlainFrontend(SIZE), {"name": "resnet19"}, {"name": "none"}, space)
    with pytest.raises(UserError, match=r"pool of resnet18.*'max'.*time.*global"):
        AmortisedEncoder(
            PlainFrontend(SIZE), {"name": "resnet18", "pool": "max"}, {"name": "none"}, space
        )
