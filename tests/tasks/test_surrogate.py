"""Gradient descent on interpolated features: exact at corners, and it ends where the task asks."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator
from audioinv.core.descriptor import DescriptorSpace
from audioinv.tasks.adapt import AdaptConfig
from audioinv.tasks.features import FeatureCache
from audioinv.tasks.labelled import Labelled
from audioinv.tasks.surrogate import learn_by_surrogate, make_surrogate
from tests.core.small_encoder import small_encoder, small_maps

N, K = 60, 3


class Toy(nn.Module):
    """Features that lose what a component is invariant to: x_k fades as i_k goes to 1."""

    is_conditioned = True

    def __init__(self, size: int = K) -> None:
        super().__init__()
        self.space = DescriptorSpace.single([f"a{k}" for k in range(size)])

    def run(
        self,
        maps: Tensor,
        descriptor: Tensor,
        layers: str = "last",
        statistics: dict[str, Tensor] | None = None,
    ) -> Tensor:
        signal, nuisance = maps.flatten(1).chunk(2, dim=1)
        kept = signal * (1 - descriptor)
        return torch.cat([kept, (nuisance * (1 - descriptor)).tanh(), nuisance * 0.1], dim=1)


def maps(size: int = K) -> Tensor:
    return torch.randn(N, 1, 1, 2 * size, generator=generator(0, "maps"))


def cache(encoder: Any, x: Tensor) -> FeatureCache:
    return FeatureCache(encoder, x)


def spread_of(features: Tensor) -> Tensor:
    """Root mean square distance from the mean over the clips."""
    return (features - features.mean(0)).square().mean().sqrt()


def test_it_is_the_encoder_at_corners_and_interpolates_between() -> None:
    encoder: Any = Toy()
    rows = torch.arange(N)
    surrogate = make_surrogate(encoder, cache(encoder, maps()), rows, seed=0)
    at_corner = {}
    for corner in itertools.product((0.0, 1.0), repeat=K):
        i = torch.tensor(corner)
        at_corner[corner] = surrogate.project(encoder.run(maps(), i))
        torch.testing.assert_close(surrogate(i, rows), at_corner[corner], atol=1e-5, rtol=1e-5)
    i = torch.tensor([0.2, 0.5, 0.9])
    naive, spread = torch.zeros_like(at_corner[(0.0, 0.0, 0.0)]), torch.zeros(())
    for corner, features in at_corner.items():
        weight = 1.0
        for value, on in zip(i.tolist(), corner, strict=True):
            weight *= value if on else 1 - value
        naive += weight * features
        spread += weight * spread_of(features)
    naive = naive.mean(0) + (naive - naive.mean(0)) * spread / spread_of(naive)
    torch.testing.assert_close(surrogate(i, rows), naive, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(surrogate(i, rows[5:9]), naive[5:9], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_a_task_that_needs_one_component_turns_it_down(kind: str) -> None:
    """The target is an input that component 1 hides; the same seed gives the same descriptor."""
    encoder: Any = Toy()
    x = maps()
    target = x[:, 0, 0, 1]
    targets, classes = (target, []) if kind == "regression" else (target.gt(0).long(), ["-", "+"])
    data = Labelled(targets, kind, classes, torch.arange(48), torch.arange(48, N))
    config = AdaptConfig(epochs=60, anchor_clips=40, true_steps=5)
    learnt = learn_by_surrogate(encoder, cache(encoder, x), data, config)
    assert float(learnt[1]) < 0.2 and bool((learnt >= 0).all() and (learnt <= 1).all())
    again = learn_by_surrogate(encoder, cache(encoder, x), data, config)
    assert torch.equal(learnt, again)


def test_validation_rows_are_not_seen() -> None:
    encoder: Any = Toy()
    x = maps()
    targets = x[:, 0, 0, 1].gt(0).long()
    data = Labelled(targets, "classification", ["-", "+"], torch.arange(48), torch.arange(48, N))
    config = AdaptConfig(epochs=3, anchor_clips=40)
    before = learn_by_surrogate(encoder, cache(encoder, x), data, config)
    other = torch.cat([targets[:48], 1 - targets[48:]])
    x = torch.cat([x[:48], -x[48:]])
    data = Labelled(other, "classification", ["-", "+"], data.train, data.valid)
    after = learn_by_surrogate(encoder, cache(encoder, x), data, config)
    assert torch.equal(before, after)


def test_too_many_components_are_refused() -> None:
    encoder: Any = Toy(9)
    with pytest.raises(UserError, match=r"surrogate.*9.*soft.*paper.*8"):
        make_surrogate(encoder, cache(encoder, maps(9)), torch.arange(N), seed=0)


def test_corners_are_anchored_under_the_statistics_they_are_judged_under() -> None:
    """Windows of a clip beyond the first are left out, as in mode paper."""
    encoder, x = small_encoder(), small_maps(40)
    owner = torch.arange(40) // 2
    features = FeatureCache(encoder, x, owner=owner)
    rows = torch.tensor([3, 1, 8, 9, 2])
    surrogate = make_surrogate(encoder, features, rows, seed=0)
    for corner, anchors in zip(surrogate.corners, surrogate.anchors, strict=True):
        judged = features.windows(corner)[2 * rows]
        torch.testing.assert_close(anchors, surrogate.project(judged), atol=1e-4, rtol=1e-4)


def test_true_steps_are_taken_under_the_statistics_of_the_descriptor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder, x = small_encoder(), small_maps(N)
    features = FeatureCache(encoder, x)
    told = []
    forward = encoder.run

    def spy(maps: Tensor, i: Tensor, *rest: Any) -> Tensor:
        found = forward(maps, i, *rest)
        told.append((maps, i.detach().clone(), found.detach()))
        return found

    monkeypatch.setattr(encoder, "run", spy)
    targets = x.flatten(1).mean(1).gt(0).long()
    data = Labelled(targets, "classification", ["-", "+"], torch.arange(48), torch.arange(48, N))
    config = AdaptConfig(epochs=5, anchor_clips=40, true_steps=1)
    learn_by_surrogate(encoder, features, data, config)
    maps, descriptor, seen = told[-1]
    judged = FeatureCache(encoder, maps)(descriptor)
    torch.testing.assert_close(seen, judged, atol=1e-5, rtol=1e-5)
