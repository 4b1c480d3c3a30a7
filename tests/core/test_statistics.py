"""Normalisation statistics at every descriptor."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator, seeded
from audioinv.core.descriptor import DescriptorSpace
from audioinv.core.encoder import AmortisedEncoder
from audioinv.core.statistics import (
    NormStatistics,
    batch_norms,
    even_batches,
    kept_corners,
    statistics_of,
)
from tests.core.plain_frontend import PlainFrontend
from tests.core.small_encoder import small_encoder, small_maps

SIZE = (1, 12, 10)
NETWORK = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
CONDITIONINGS = ["hyper", "hyper_light", "norm", "none"]


def maps(n: int, name: str = "maps") -> Tensor:
    return torch.randn(n, *SIZE, generator=generator(0, name)) * 3 + 1


def make(conditioning: str = "hyper", size: int = 3, **options: Any) -> AmortisedEncoder:
    space = DescriptorSpace.single([f"a{k}" for k in range(size)])
    more = {"layers": [1, 1, 1, 1], "stem_type": "deep", "stem_width": 4, **options}
    backbone = {"name": "resnet18", "width": 0.125, "dim": 5, "options": more}
    with seeded(0, "encoder"):
        return AmortisedEncoder(PlainFrontend(SIZE), backbone, conditioning, space).eval()


def test_corners_of_few_components_are_all_and_of_many_those_near_both_ends() -> None:
    assert sorted(kept_corners(3).tolist()) == sorted(
        map(list, itertools.product((0.0, 1.0), repeat=3))
    )
    many = kept_corners(9)
    assert len(many) == len(many.unique(dim=0)) == 2 * (1 + 9 + 36)
    assert set(many.sum(1).tolist()) == {0, 1, 2, 7, 8, 9}


@pytest.mark.parametrize("size", [1, 3, 8])
def test_few_components_are_interpolated_multilinearly(size: int) -> None:
    corners = kept_corners(size)
    statistics = NormStatistics(NETWORK, corners)
    i = torch.rand(5, size, generator=generator(0, "i"))
    expected = (corners * i[:, None] + (1 - corners) * (1 - i[:, None])).prod(-1)
    torch.testing.assert_close(statistics.weights(i), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(statistics.weights(i[2]), expected[2], atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [2, 9, 11])
def test_a_corner_that_is_kept_has_its_own_values(size: int) -> None:
    corners = kept_corners(size)
    weights = NormStatistics(NETWORK, corners).weights(corners)
    torch.testing.assert_close(weights, torch.eye(len(corners)), atol=2e-5, rtol=0)
    between = NormStatistics(NETWORK, corners).weights(torch.full((size,), 0.5))
    assert float(between.sum()) == pytest.approx(1, abs=1e-4)


def test_many_components_recover_what_depends_on_each_by_itself() -> None:
    corners = kept_corners(9)
    statistics = NormStatistics(NETWORK, corners)
    slopes = torch.randn(9, generator=generator(0, "slopes"))
    every = torch.randint(0, 2, (64, 9), generator=generator(0, "corners")).float()
    found = statistics.weights(every) @ (corners @ slopes)
    torch.testing.assert_close(found, every @ slopes, atol=1e-4, rtol=0)


def test_statistics_are_those_of_torch() -> None:
    encoder = make()
    network, other = (encoder.at("a1").backbone for _ in range(2))
    batches = [maps(16, "a"), maps(16, "b")]
    mean, var = statistics_of(network, batches)
    update_bn(batches, other)
    norms = batch_norms(other).values()
    torch.testing.assert_close(mean, torch.cat([norm.running_mean for norm in norms]))
    torch.testing.assert_close(var, torch.cat([norm.running_var for norm in norms]))
    assert not any(module.training for module in network.modules())


def test_dropout_stays_off() -> None:
    batches = [maps(16)]
    with_drops, without = make(drop_path_rate=0.5), make()
    with_drops.load_state_dict(without.state_dict())
    found, expected = (statistics_of(e.at("a1").backbone, batches) for e in (with_drops, without))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("conditioning", CONDITIONINGS)
def test_a_feature_depends_on_its_clip_and_descriptor_alone(conditioning: str) -> None:
    encoder = make(conditioning).recalibrated(maps(64, "others"))
    x = maps(7)
    for i in (torch.ones(3), torch.tensor([1.0, 0, 0.3])):
        together, alone = encoder(x, i), torch.cat([encoder(one, i) for one in x.split(1)])
        torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(encoder.at(i)(x), together, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("conditioning", CONDITIONINGS)
def test_examples_of_their_own_descriptor_have_its_statistics(conditioning: str) -> None:
    encoder = make(conditioning).recalibrated(maps(64, "others"))
    x, descriptors = maps(6), torch.rand(6, 3, generator=generator(0, "i"))
    together = encoder(x, descriptors, "all")
    alone = torch.cat(
        [encoder(one, i, "all") for one, i in zip(x.split(1), descriptors, strict=True)]
    )
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_training_mode_is_as_before() -> None:
    plain, kept = make().train(), make().recalibrated(maps(64, "others")).train()
    torch.testing.assert_close(plain(maps(8), torch.ones(3)), kept(maps(8), torch.ones(3)))


def test_they_are_saved_and_loaded(tmp_path: Path) -> None:
    encoder = make().recalibrated(maps(64, "others"))
    encoder.save(tmp_path)
    loaded = AmortisedEncoder.load(tmp_path, lambda config: PlainFrontend(SIZE))
    i = torch.tensor([0.2, 1.0, 0.0])
    assert loaded.is_calibrated and torch.equal(loaded(maps(5), i), encoder(maps(5), i))


def test_running_statistics_may_be_kept_on_purpose() -> None:
    encoder = make()
    before = encoder(maps(5), torch.ones(3))
    encoder.keep_running_statistics()
    torch.testing.assert_close(encoder(maps(5), torch.ones(3)), before)
    assert encoder.is_calibrated


def test_an_encoder_without_statistics_says_so(recwarn: Any) -> None:
    make().at("all")
    assert "recalibrated" in str(recwarn.pop(UserWarning).message)
    make().recalibrated(maps(64)).at("all")
    assert not recwarn.list


def test_one_clip_is_too_few() -> None:
    one_by_one = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(120))
    with pytest.raises(UserError, match="2 clips or more"):
        statistics_of(one_by_one, [maps(1)])
    with pytest.raises(UserError, match="none"):
        make().calibrate([])


def test_batches_are_even() -> None:
    assert [len(part) for part in even_batches(torch.zeros(300), 256)] == [150, 150]
    assert even_batches(torch.zeros(0)) == ()


def test_composed_statistics_are_near_the_true_ones() -> None:
    """Of nine components, at corners far from those that are kept; an average is much further."""
    encoder, clips = make("norm", 9), maps(64, "others")
    encoder.calibrate([clips])
    statistics = encoder.statistics
    assert statistics is not None
    wrong = {"composed": 0.0, "average": 0.0}
    for k in range(6):
        corner = (torch.randperm(9, generator=generator(k, "corner")) < 4).float()
        mean, var = statistics_of(encoder.at(corner).backbone, [clips])
        weights = {"composed": statistics.weights(corner), "average": torch.full((92,), 1 / 92)}
        for name, w in weights.items():
            off = ((w @ statistics.mean - mean).square() / var).mean()
            wrong[name] += float(off + ((w @ statistics.var.log()) - var.log()).square().mean())
    assert wrong["composed"] < 0.5 * wrong["average"]


@pytest.mark.parametrize("layers", ["last", "all", "depth"])
def test_a_bound_network_is_that_of_the_descriptor_and_changes_nothing(layers: str) -> None:
    encoder, maps = small_encoder(), small_maps(7)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    for descriptor in (encoder.space.all_on(), torch.tensor([0.0, 1, 0.25])):
        found = encoder.bound(descriptor)(maps, layers)
        expected = encoder.at(descriptor).backbone(maps, layers)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())
