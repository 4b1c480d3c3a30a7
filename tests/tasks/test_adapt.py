"""Adaptation on made-up features in which component "a" at 1 wipes out what the task needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from sklearn.metrics import mean_absolute_error, r2_score
from torch import Tensor, nn

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator
from audioinv.core.descriptor import DescriptorSpace
from audioinv.tasks.adapt import AdaptConfig, choose, fit, learn_jointly
from audioinv.tasks.features import FeatureCache
from audioinv.tasks.labelled import Labelled, evidence_rows, with_few_labels
from audioinv.tasks.mixture import Mixture
from audioinv.tasks.readout import fit_readout
from audioinv.tasks.scores import score, task_loss
from tests.core.small_encoder import small_encoder, small_maps

SPACE = DescriptorSpace.single(["a", "b", "c"], min_active=0)
N, TEST = 160, torch.arange(120, 160)
TRAIN, VALID = torch.arange(0, 80), torch.arange(80, 120)


def labelled(kind: str = "classification") -> Labelled:
    y = torch.randint(3, (N,), generator=generator(0, "labels"))
    if kind == "regression":
        return Labelled(y.float() - 0.3, kind, [], TRAIN, VALID)
    return Labelled(y, kind, ["x", "y", "z"], TRAIN, VALID)


def features_of(data: Labelled, hidden: Tensor = TEST) -> Callable[[Tensor], Tensor]:
    """Features (N, 8) at a descriptor: the target fades out as component "a" goes to 1.

    The rows `hidden` are NaN: whoever touches them gets NaN for an answer.
    """
    noise = torch.randn(N, 8, generator=generator(0, "noise"))
    target = torch.nn.functional.one_hot(data.targets.long().clamp_min(0), 3).float()
    if data.kind == "regression":
        target = data.targets[:, None].expand(-1, 3)

    def features_at(descriptor: Tensor) -> Tensor:
        bits = torch.linspace(1, 2.3, len(descriptor)) @ descriptor
        x = torch.roll(noise, int(bits * 10), 0).clone()
        x[:, :3] += (1 - descriptor[0]) * 4 * target
        x[hidden] = float("nan")
        return x

    return features_at


def quality(mixture: Mixture, data: Labelled, config: AdaptConfig) -> float:
    readout = fit(mixture, features_of(data), data, config)
    outputs = readout.scores(mixture.features(features_of(data, torch.tensor([]).long())))
    return score(outputs[TEST], data.targets[TEST], data.kind)


@pytest.mark.parametrize("kind", ["classification", "regression"])
@pytest.mark.parametrize("mode", ["search", "search:evidence", "search:validation"])
def test_search_finds_a_corner_that_keeps_what_the_task_needs(mode: str, kind: str) -> None:
    data, config = labelled(kind), AdaptConfig()
    mixture = choose(mode, SPACE, features_of(data), data, config)
    assert mixture.descriptors.shape == (1, 3) and float(mixture.reported[0]) == 0
    assert quality(mixture, data, config) > 0.85
    all_on = choose("fixed:all", SPACE, features_of(data), data, config)
    assert quality(all_on, data, config) < 0.6


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_soft_turns_the_harmful_component_off(kind: str) -> None:
    data, config = labelled(kind), AdaptConfig(top_corners=3)
    mixture = choose("soft", SPACE, features_of(data), data, config)
    assert float(mixture.reported[0]) < 0.1
    assert bool(((mixture.reported >= 0) & (mixture.reported <= 1)).all())
    assert mixture.descriptors.shape == (3, 3) and mixture.descriptors[:, 0].tolist() == [0, 0, 0]
    assert float(mixture.weights.sum()) == pytest.approx(1)
    assert quality(mixture, data, config) > 0.85


def test_search_among_many_corners_flips_from_all_on() -> None:
    """64 corners: tried one flip after the other, and only allowed ones."""
    data, base = labelled(), features_of(labelled())
    tried = set()

    def features_at(descriptor: Tensor) -> Tensor:
        tried.add(tuple(descriptor.tolist()))
        return base(descriptor)

    space = DescriptorSpace.single(list("abcdef"), min_active=2)
    mixture = choose("search:validation", space, features_at, data, AdaptConfig())
    assert float(mixture.reported[0]) == 0 and float(mixture.reported.sum()) >= 2
    assert len(tried) < 40 and min(sum(corner) for corner in tried) >= 2


def test_few_labels_are_evenly_drawn_from_training_and_validation() -> None:
    data = labelled()
    few = with_few_labels(data, 4, seed=0)
    for part, rows in ((TRAIN, few.train), (VALID, few.valid)):
        assert set(rows.tolist()) <= set(part.tolist())
        assert data.targets[rows].bincount().tolist() == [4, 4, 4]
    assert torch.equal(with_few_labels(data, 4, 0).train, few.train)
    assert not torch.equal(with_few_labels(data, 4, 1).train, few.train)
    assert with_few_labels(data, 0, 0) is data
    assert len(with_few_labels(labelled("regression"), 4, 0).train) == 40


def test_multilabel_targets_are_searched_too() -> None:
    data = labelled()
    many = torch.nn.functional.one_hot(data.targets, 3).float()
    data = Labelled(many, "multilabel", ["x", "y", "z"], TRAIN, VALID)
    base = features_of(labelled())
    for mode in ("search", "search:validation", "soft"):
        assert float(choose(mode, SPACE, base, data, AdaptConfig()).reported[0]) < 0.1


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("all", [1, 1, 1]), ("none", [0, 0, 0]), ("a+c", [1, 0, 1]), ("-a", [0, 1, 1])],
)
def test_fixed_corners(mode: str, expected: list[int]) -> None:
    data = labelled()
    mixture = choose(f"fixed:{mode}", SPACE, features_of(data), data, AdaptConfig())
    assert mixture.descriptors.tolist() == [expected] and mixture.weights.tolist() == [1.0]
    assert mixture.reported.tolist() == expected


@pytest.mark.parametrize("mode", ["sort", "fixed:d", "fixed", "search:test", "soft:er", ""])
def test_unknown_modes_are_explained(mode: str) -> None:
    data = labelled()
    with pytest.raises(
        UserError, match=rf"{mode.removeprefix('fixed:')}.*(fixed:CORNER|{', '.join(SPACE.names)})"
    ):
        choose(mode, SPACE, features_of(data), data, AdaptConfig())


def test_search_by_validation_needs_validation_clips() -> None:
    data = labelled()
    data.valid = torch.tensor([], dtype=torch.long)
    with pytest.raises(UserError, match=r"search:validation.*use search"):
        choose("search:validation", SPACE, features_of(data), data, AdaptConfig())
    assert float(choose("search", SPACE, features_of(data), data, AdaptConfig()).reported[0]) == 0


@pytest.mark.parametrize("mode", ["fixed:all", "search", "search:validation", "soft"])
def test_test_rows_are_never_touched(mode: str) -> None:
    """They are NaN in one run and real numbers in the other."""
    data, config = labelled(), AdaptConfig()
    hidden, open_ = features_of(data), features_of(data, torch.tensor([]).long())
    first = choose(mode, SPACE, hidden, data, config)
    second = choose(mode, SPACE, open_, data, config)
    changed = Labelled(data.targets.clone(), data.kind, data.classes, TRAIN, VALID)
    changed.targets[TEST] = 2 - changed.targets[TEST]
    third = choose(mode, SPACE, open_, changed, config)
    for other in (second, third):
        assert torch.equal(first.reported, other.reported)
        assert torch.equal(first.weights, other.weights)
    readouts = [fit(first, f, d, config) for f, d in ((hidden, data), (open_, changed))]
    assert bool(readouts[0].weight.isfinite().all())
    assert torch.equal(readouts[0].weight, readouts[1].weight)


def test_a_mixtures_metric_is_its_weights() -> None:
    """The readout's kernel on concatenated features is sum_m w_m K_m, as the evidence saw it."""
    data = labelled()
    features_at = features_of(data, torch.tensor([]).long())
    mixture = Mixture(SPACE.corners[:2], torch.tensor([0.8, 0.2]), torch.zeros(3))
    x = mixture.features(features_at)
    z = (x - x.mean(0)) / x.std(0) * mixture.scales(x.shape[1])
    parts = [features_at(c) for c in SPACE.corners[:2]]
    expected = sum(
        float(w) * ((p - p.mean(0)) / p.std(0)) @ ((p - p.mean(0)) / p.std(0)).T / 8
        for w, p in zip(mixture.weights, parts, strict=True)
    )
    torch.testing.assert_close(z @ z.T / 16, expected, atol=1e-4, rtol=1e-4)


def test_evidence_rows_are_stratified_and_keyed() -> None:
    targets = torch.tensor([0] * 100 + [1] * 10 + [2] * 50)
    data = Labelled(
        targets, "classification", ["x", "y", "z"], torch.arange(0, 160, 2), torch.arange(1, 160, 2)
    )
    rows = evidence_rows(data, 36, 0)
    assert targets[rows].bincount().tolist() == [13, 10, 13]
    assert len(rows.unique()) == 36
    assert torch.equal(rows, evidence_rows(data, 36, 0))
    assert not torch.equal(rows, evidence_rows(data, 36, 1))
    assert sorted(evidence_rows(data, 1000, 0).tolist()) == list(range(160))
    part = Labelled(targets, "regression", [], TRAIN, VALID)
    assert set(evidence_rows(part, 50, 0).tolist()) <= set(range(120))


class Fading(nn.Module):
    """An encoder in which component "a" fades out the only map that tells the class."""

    space = SPACE

    def run(
        self,
        maps: Tensor,
        descriptor: Tensor,
        layers: str,
        statistics: dict[str, Tensor] | None = None,
    ) -> Tensor:
        gain = torch.cat([(1 - descriptor[:1]).expand(3), torch.ones(2)])
        return maps.flatten(1) * gain


def learn(rounding: bool = False, seed: int = 0, spoil: bool = False) -> Mixture:
    data = labelled()
    noise = torch.randn(N, 5, generator=generator(0, "maps"))
    noise[:, :3] += 2 * torch.nn.functional.one_hot(data.targets, 3)
    if spoil:
        noise[TEST] = float("nan")
    config = AdaptConfig(epochs=20, lr=0.03, rounding=rounding)
    encoder: Any = Fading()
    features = FeatureCache(encoder, noise[:, None, None])
    return Mixture.single(learn_jointly(encoder, features, data, config, seed))


@pytest.mark.parametrize("calibrated", [True, False])
def test_the_papers_way_learns_under_the_statistics_it_is_judged_under(
    calibrated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it sees at the start of each epoch is what evaluation makes of the same clips."""
    encoder, data, maps = small_encoder(), labelled(), small_maps(N)
    if not calibrated:
        encoder.keep_running_statistics()
    features = FeatureCache(encoder, maps)
    told, seen = [], []
    forward = encoder.run

    def spy(x: Tensor, i: Tensor, *rest: Any) -> Tensor:
        found = forward(x, i, *rest)
        told.append((x, i.detach().clone()))
        seen.append(found.detach())
        return found

    monkeypatch.setattr(encoder, "run", spy)
    config = AdaptConfig(epochs=4, batch_size=32, lr=0.05)
    learn_jointly(encoder, features, data, config)
    starts = range(1, len(seen), 3)  # the head's call, then three batches an epoch
    assert len(starts) == 4 and len({tuple(told[k][1].tolist()) for k in starts}) == 4
    for k in starts:
        x, descriptor = told[k]
        judged = FeatureCache(encoder, x)(descriptor)
        torch.testing.assert_close(seen[k], judged, atol=1e-5, rtol=1e-5)


def test_the_learnt_heads_logits_are_those_of_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a descriptor that stands still, on all training clips."""
    encoder, data = small_encoder(), labelled()
    features = FeatureCache(encoder, small_maps(N))
    outputs, heads = [], []

    class Watched(nn.LazyLinear):
        def __init__(self, n: int) -> None:
            super().__init__(n)
            self.register_forward_hook(lambda head, x, y: outputs.append(y.detach()))
            heads.append(self)

    monkeypatch.setattr(torch.nn, "LazyLinear", Watched)
    config = AdaptConfig(epochs=1, batch_size=len(TRAIN), lr=0.0)
    mixture = Mixture.single(learn_jointly(encoder, features, data, config))
    order = torch.randperm(len(TRAIN), generator=generator(0, "paper order", 0))
    judged = heads[0](mixture.features(features)[TRAIN[order]])
    torch.testing.assert_close(outputs[1], judged.detach(), atol=1e-5, rtol=1e-5)


def test_the_papers_way_follows_the_gradient() -> None:
    mixture = learn()
    assert float(mixture.reported[0]) < 0.1
    assert mixture.reported[1:].tolist() == [0.5, 0.5]  # these make no difference
    assert bool(((mixture.reported >= 0) & (mixture.reported <= 1)).all())


def test_the_papers_way_is_reproducible_and_never_sees_test_rows() -> None:
    assert torch.equal(learn().reported, learn(spoil=True).reported)
    assert (
        not torch.equal(learn().reported, learn(seed=1).reported) or float(learn().reported[0]) == 0
    )


def test_the_papers_descriptor_may_be_rounded() -> None:
    assert learn(rounding=True).reported.tolist() == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("mode", ["search", "search:validation", "soft"])
def test_several_values_at_once_are_adapted_to(mode: str) -> None:
    """Two outputs, of which each alone needs component "a" off."""
    one = labelled("regression")
    at = features_of(one)
    data = replace(one, targets=torch.stack([one.targets, 3 - 2 * one.targets], dim=1))
    mixture, config = choose(mode, SPACE, at, data, AdaptConfig(top_corners=3)), AdaptConfig()
    assert float(mixture.reported[0]) < 0.1
    readout = fit(mixture, at, data, config)
    seen = mixture.features(features_of(one, torch.tensor([]).long()))[TEST]
    outputs = readout.scores(seen)
    assert outputs.shape == (40, 2)
    assert score(outputs, data.targets[TEST], "regression") > 0.85


def test_the_papers_way_regresses_several_values() -> None:
    """A head of one output for two would learn the mean of both, which tells nothing here."""
    side = (torch.rand(N, generator=generator(0, "side")) - 0.5) * 4
    noise = torch.randn(N, 5, generator=generator(0, "maps")) * 0.1
    noise[:, 0] += side
    data = Labelled(torch.stack([side, -side], 1), "regression", [], TRAIN, VALID)
    encoder: Any = Fading()
    features = FeatureCache(encoder, noise[:, None, None])
    config = AdaptConfig(epochs=20, lr=0.03)
    assert float(learn_jointly(encoder, features, data, config)[0]) < 0.2


def test_the_regression_loss_is_the_mean_absolute_error() -> None:
    outputs, targets = torch.randn(7, 3), torch.randn(7, 3)
    expected = mean_absolute_error(targets, outputs)
    assert float(task_loss(outputs, targets, "regression")) == pytest.approx(expected)
    single = float(task_loss(outputs[:, :1], targets[:, 0], "regression"))
    assert single == pytest.approx(mean_absolute_error(targets[:, 0], outputs[:, 0]))


def test_r2_is_scikit_learns() -> None:
    targets = torch.randn(30, 3) * torch.tensor([1.0, 100.0, 0.01]) + 5
    predicted = targets + torch.randn(30, 3) * torch.tensor([0.5, 10.0, 0.02])
    assert score(predicted, targets, "regression") == pytest.approx(
        r2_score(targets, predicted), abs=1e-4
    )


def test_scores_by_hand() -> None:
    outputs = torch.eye(3)[[0, 1, 1]]
    assert score(outputs, torch.tensor([0, 1, 2]), "classification") == pytest.approx(2 / 3)
    values = torch.tensor([[1.0], [2.0]])
    assert score(values, torch.tensor([1.0, 3.0]), "regression") == pytest.approx(0.5)
    # Positives stand first and third: (1 + 2/3) / 2. A label without any does not count.
    labels = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    outputs = torch.tensor([[-1.0, 5.0], [-2.0, 5.0], [-3.0, 5.0]])
    assert score(outputs, labels, "multilabel") == pytest.approx(5 / 6)
    assert score(outputs, 0 * labels, "multilabel") == 0


def test_the_l2_of_a_logistic_readout_is_chosen_on_validation() -> None:
    """Overlapping classes in many dimensions want a strong one; test rows have no say."""
    g = generator(0, "l2")
    y = torch.arange(N) % 2
    x = torch.randn(N, 60, generator=g)
    x[:, 0] += 1.5 * y
    data = Labelled(y, "classification", ["a", "b"], TRAIN, VALID)
    mixture = Mixture.single(SPACE.all_on())
    chosen = fit(mixture, lambda i: x, data, AdaptConfig(readout="logistic"))
    spoilt = x.clone()
    spoilt[TEST] = float("nan")
    again = fit(mixture, lambda i: spoilt, data, AdaptConfig(readout="logistic"))
    assert torch.equal(chosen.weight, again.weight)
    rows = data.fit_rows
    loose = fit_readout(x[rows], y[rows], "classification", ["a", "b"], "logistic", 1.0)
    assert float(chosen.weight.norm()) < 0.5 * float(loose.weight.norm())
