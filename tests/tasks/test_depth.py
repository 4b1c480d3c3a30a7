"""Levels of a network that a task chooses, with its descriptor, by evidence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator
from audioinv.core.backbone import Concat, OwnNetwork, Statistics, build_backbone
from audioinv.core.descriptor import DescriptorSpace
from audioinv.tasks.adapt import choose, fit
from audioinv.tasks.corners import TaskEvidence
from audioinv.tasks.evidence import kernel
from audioinv.tasks.features import FeatureCache
from audioinv.tasks.labelled import Labelled
from audioinv.tasks.mixture import Mixture, Parts, mean_mixture
from audioinv.tasks.settings.adapt import AdaptConfig
from tests.core.small_encoder import small_encoder, small_maps

N = 90
ROWS = torch.arange(N)
SPACE = DescriptorSpace.single(["a", "b"], min_active=0)
LABELS = torch.randint(3, (N,), generator=generator(0, "labels"))
DATA = Labelled(LABELS, "classification", ["x", "y", "z"], ROWS[:50], ROWS[50:60])
MODES = ["fixed:all", "fixed:-a", "search", "search:validation", "soft"]


def draw(*shape: int, key: str) -> Tensor:
    return torch.randn(*shape, generator=generator(0, key))


class Levels:
    """Three levels, of 4, 6 and 5 features; one holds the labels where component a is off."""

    sizes = (4, 6, 5)

    def __init__(self, level: int) -> None:
        self.level = level

    def __call__(self, descriptor: Tensor) -> Tensor:
        made = [draw(N, self.sizes[0], key="0")]
        for k, size in enumerate(self.sizes[1:], 1):
            made.append(draw(N, size, key=f"{k} {descriptor.tolist()}"))
        signal = torch.nn.functional.one_hot(LABELS, 3).float()
        seen = 1.0 if self.level == 0 else 1 - float(descriptor[0])
        made[self.level][:, :3] += 2 * seen * signal
        return torch.cat(made, 1)


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("mode", ["search", "search:validation", "soft"])
def test_the_level_that_knows_is_chosen_with_its_corner(mode: str, level: int) -> None:
    at = Levels(level)
    mixture = choose(mode, SPACE, at, DATA, AdaptConfig())
    assert mixture.depth is not None and int(mixture.depth.argmax()) == level
    assert float(mixture.depth.sum()) == pytest.approx(1)
    assert mixture.spans is not None
    heaviest = int(mixture.weights.argmax())
    start = sum(at.sizes[:level])
    assert mixture.spans[heaviest].tolist() == [start, start + at.sizes[level]]
    if level:
        assert float(mixture.descriptors[heaviest, 0]) == 0 and float(mixture.reported[0]) < 0.3
    scores = fit(mixture, at, DATA, AdaptConfig()).predict(mixture.features(at))
    assert float((scores == LABELS)[60:].float().mean()) > 0.75


def test_a_fixed_corner_chooses_among_its_levels_too() -> None:
    mixture = choose("fixed:-a", SPACE, Levels(2), DATA, AdaptConfig())
    assert mixture.reported.tolist() == [0, 1]
    assert mixture.descriptors.unique(dim=0).tolist() == [[0, 1]]
    assert mixture.depth is not None and float(mixture.depth[2]) > 0.8
    plain = choose("fixed:-a", SPACE, lambda d: Levels(2)(d), DATA, AdaptConfig())
    assert plain.spans is None and plain.depth is None


@pytest.mark.parametrize("joint", [True, False])
def test_the_readouts_metric_is_the_mixed_kernel(joint: bool) -> None:
    """sum_p w_p K_p of the parts, each kernel by itself, against the scaled features."""
    at = Levels(1)
    mixture = choose("soft", SPACE, at, DATA, AdaptConfig(joint=joint, top_corners=100))
    features = mixture.features(at)
    expected = torch.zeros(N, N)
    assert mixture.spans is not None
    for descriptor, (a, b), w in zip(
        mixture.descriptors, mixture.spans.tolist(), mixture.weights, strict=True
    ):
        expected += w * kernel(at(descriptor)[:, a:b])
    found = kernel(features, mixture.scales(features.shape[1]))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_weights_are_those_of_the_formula_and_sum_to_one() -> None:
    corners = SPACE.corners
    parts = Parts(corners, (4, 6, 5))
    q = torch.tensor([[0.9, 0.2], [0.3, 0.5]], dtype=torch.double)
    s = torch.tensor([0.2, 0.5, 0.3], dtype=torch.double)
    found = parts.weights(q, s)
    expected = []
    for corner, level in parts.places.tolist():
        w = 1.0
        if level:
            for k in range(2):
                on = float(q[level - 1, k])
                w *= on if corners[corner, k] else 1 - on
        expected.append(w * float(s[level]))
    assert len(expected) == 1 + 2 * len(corners) and found.tolist() == pytest.approx(expected)
    assert float(found.sum()) == pytest.approx(1)
    assert len(parts.places[parts.places[:, 1] == 0]) == 1


def test_one_level_is_a_mixture_of_corners_as_ever() -> None:
    features = {tuple(c.tolist()): draw(N, 7, key=str(c.tolist())) for c in SPACE.corners}

    class One:
        sizes = (7,)

        def __call__(self, descriptor: Tensor) -> Tensor:
            return features[tuple(descriptor.tolist())]

    plain: Any = One()
    deep = choose("soft", SPACE, plain, DATA, AdaptConfig())
    flat = choose("soft", SPACE, lambda d: plain(d), DATA, AdaptConfig())
    assert torch.equal(deep.reported, flat.reported) and torch.equal(deep.weights, flat.weights)


@pytest.mark.parametrize("mode", MODES)
def test_only_rows_for_fitting_decide(mode: str) -> None:
    class Spoilt(Levels):
        def __call__(self, descriptor: Tensor) -> Tensor:
            found = super().__call__(descriptor)
            found[60:] = 1e3
            return found

    whole, spoilt = (choose(mode, SPACE, at, DATA, AdaptConfig()) for at in (Levels(1), Spoilt(1)))
    assert torch.equal(whole.weights, spoilt.weights)
    assert torch.equal(whole.reported, spoilt.reported)


def test_mean_of_folds_keeps_every_part_once() -> None:
    first = Mixture(
        torch.tensor([[0.0, 1], [1, 1]]),
        torch.tensor([0.75, 0.25]),
        torch.tensor([0.25, 1]),
        torch.tensor([[0, 4], [4, 10]]),
        torch.tensor([0.75, 0.25, 0]),
    )
    second = replace(first, descriptors=first.descriptors.flip(0), weights=torch.tensor([0.5, 0.5]))
    mean = mean_mixture([first, second])
    assert mean.spans is not None and mean.depth is not None
    parts = {
        (*d, *s): w
        for d, s, w in zip(
            mean.descriptors.tolist(), mean.spans.tolist(), mean.weights.tolist(), strict=True
        )
    }
    assert parts == {
        (0, 1, 0, 4): 0.375, (1, 1, 4, 10): 0.125, (1, 1, 0, 4): 0.25, (0, 1, 4, 10): 0.25,
    }  # fmt: skip
    assert mean.weights[0] == mean.weights.max() and torch.equal(mean.depth, first.depth)


@pytest.mark.parametrize(
    "name", ["resnet18", "statistics", "concat", "own", "vit_tiny_patch16_224"]
)
def test_levels_stand_side_by_side_from_the_front_ends_rows_on(name: str) -> None:
    size = (2, 32, 32)
    small = {"layers": [1, 1, 1, 1]}
    part = {"name": "resnet18", "width": 0.125, "dim": 5, "options": small}
    options: dict[str, Any] = {
        "resnet18": {k: v for k, v in part.items() if k != "name"},
        "concat": {"parts": [part, {**part, "dim": 3}]},
        "vit_tiny_patch16_224": {"options": {"depth": 2}},
    }.get(name, {})
    if name == "own":
        own = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2 * 32 * 32, 7))
        network: Any = OwnNetwork(own, size)
    else:
        network = build_backbone(name, size, **options)
    network.eval()
    x = draw(3, *size, key="maps")
    found = network(x, "depth").split(network.sizes, dim=1)
    rows = torch.cat([x.mean(3), x.std(3)], 2).flatten(1)
    torch.testing.assert_close(found[0], rows)
    if isinstance(network, Statistics):
        assert len(found) == 1
        return
    torch.testing.assert_close(found[-1], network(x)[:, -found[-1].shape[1] :])
    if not isinstance(network, Concat | OwnNetwork):
        torch.testing.assert_close(torch.cat(found[1:], 1), network(x, "all"))
    if isinstance(network, Concat):
        assert len(found) == 1 + 2 * 6


def test_a_network_without_levels_is_refused_by_name() -> None:
    encoder = small_encoder()
    cache = FeatureCache(encoder, small_maps(8), "depth")
    assert cache.sizes == encoder.backbone.sizes
    assert cache(encoder.space.all_on()).shape == (8, sum(cache.sizes or ()))
    del encoder.backbone.sizes
    with pytest.raises(UserError, match=r"Backbone.*features\.layers"):
        TaskEvidence(encoder.space, cache, DATA, AdaptConfig(), 0)
