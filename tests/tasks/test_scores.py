from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    mean_absolute_error,
    r2_score,
)

from audioinv.base.randomness import generator
from audioinv.tasks.scores import score_classes, score_outputs, wilson


@pytest.mark.parametrize(("k", "n"), [(0, 10), (3, 10), (10, 10), (37, 50), (960, 1000)])
def test_the_ends_of_wilsons_interval_are_a_normal_quantile_away(k: int, n: int) -> None:
    """Its definition (Wilson, 1927): (k/n - p)^2 = z^2 p (1 - p) / n at both ends p."""
    low, high = wilson(k, n)
    assert 0 <= low <= k / n <= high <= 1
    for p in (low, high):
        z2 = NormalDist().inv_cdf(0.975) ** 2
        assert (k / n - p) ** 2 == pytest.approx(z2 * p * (1 - p) / n, abs=1e-12)


def test_classification_scores() -> None:
    g = generator(0, "scores")
    targets = torch.randint(4, (200,), generator=g).clamp_max(2)
    guess = torch.randint(3, (200,), generator=g)
    predicted = torch.where(torch.rand(200, generator=g) < 0.6, targets, guess)
    scores = score_classes(predicted, targets)
    share = (predicted == targets).float().mean()
    assert scores["metric"] == "accuracy" and scores["n_test"] == 200
    assert scores["value"] == pytest.approx(float(share))
    assert scores["interval"] == wilson(round(200 * float(share)), 200)
    assert scores["chance"] == pytest.approx(float(targets.bincount().max()) / 200)
    assert scores["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(targets, predicted))


@pytest.mark.parametrize("predicted", [[0, 0, 2, 2, 3, 0], [0, 0, 0, 0, 0, 0]])
def test_balanced_accuracy_is_over_the_classes_that_are_tested(predicted: list[int]) -> None:
    targets = torch.tensor([0, 0, 0, 2, 2, 2])
    scores = score_classes(torch.tensor(predicted), targets)
    assert scores["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(targets, predicted))


def test_one_class_in_the_test_part_still_scores() -> None:
    scores = score_classes(torch.zeros(5).long(), torch.zeros(5).long())
    assert scores["value"] == scores["balanced_accuracy"] == 1.0


def test_regression_scores() -> None:
    g = generator(1, "scores")
    targets = torch.randn(300, generator=g)
    predicted = targets + 0.5 * torch.randn(300, generator=g)
    scores = score_outputs(predicted[:, None], targets, "regression", torch.arange(300))
    assert scores["metric"] == "r2"
    assert scores["value"] == pytest.approx(r2_score(targets, predicted), abs=1e-5)
    assert scores["mae"] == pytest.approx(mean_absolute_error(targets, predicted), abs=1e-6)
    low, high = scores["interval"]
    assert low < scores["value"] < high and 0.02 < high - low < 0.2
    mean = torch.full_like(targets, float(targets.mean()))
    flat = score_outputs(mean[:, None], targets, "regression", torch.arange(300))
    assert flat["value"] == pytest.approx(0, abs=1e-4)


def test_a_regression_may_be_scored_by_its_squared_error() -> None:
    targets = torch.tensor([[0.0, 2.0], [1.0, 0.0], [2.0, 4.0]])
    predicted = targets + torch.tensor([[0.3, 0.0], [0.0, -0.6], [0.3, 0.6]])
    scores = score_outputs(predicted, targets, "regression", torch.arange(3), "mse")
    assert scores["metric"] == "mse" and scores["value"] == pytest.approx(0.9 / 6)
    assert scores["chance"] == pytest.approx((2 / 3 + 8 / 3) / 2), "the mean is always guessed"
    assert scores["interval"][0] <= scores["value"] <= scores["interval"][1]
    assert scores["r2"] == pytest.approx(r2_score(targets, predicted), abs=1e-5)


def test_several_values_count_alike() -> None:
    g = generator(4, "scores")
    scale = torch.tensor([1.0, 50.0, 0.1])
    targets = torch.randn(200, 3, generator=g) * scale
    predicted = targets + torch.randn(200, 3, generator=g) * scale * torch.tensor([0.3, 0.6, 0.9])
    scores = score_outputs(predicted, targets, "regression", torch.arange(200))
    assert scores["value"] == pytest.approx(r2_score(targets, predicted), abs=1e-5)
    assert scores["mae"] == pytest.approx(mean_absolute_error(targets, predicted), abs=1e-4)
    low, high = scores["interval"]
    assert low < scores["value"] < high
    errors = scores["per_clip"]["score"]
    assert errors.tolist() == pytest.approx((-((predicted - targets) ** 2).mean(1)).tolist())


def test_multilabel_scores() -> None:
    g = generator(2, "scores")
    targets = (torch.rand(100, 4, generator=g) < 0.4).float()
    targets[:, 3] = 0  # a label that no test clip has counts for nothing
    outputs = targets - 0.5 + torch.randn(100, 4, generator=g)
    scores = score_outputs(outputs, targets, "multilabel", torch.arange(100))
    each = [average_precision_score(targets[:, k], outputs[:, k]) for k in range(3)]
    assert scores["metric"] == "map"
    assert scores["value"] == pytest.approx(np.mean(each), abs=1e-6)
    expected = f1_score(targets.numpy(), (outputs > 0).float().numpy(), average="macro")
    assert scores["macro_f1"] == pytest.approx(expected, abs=1e-6)
    assert scores["chance"] == pytest.approx(float(targets[:, :3].mean()))
    assert np.diff(scores["interval"])[0] > 0


def test_clip_by_clip_scores_add_up_to_the_row() -> None:
    g = generator(3, "scores")
    outputs, clips = torch.randn(50, 3, generator=g), torch.randperm(50, generator=g)
    targets = torch.randint(3, (50,), generator=g)
    scores = score_outputs(outputs, targets, "classification", clips)
    assert scores["per_clip"]["clips"].tolist() == clips.tolist()
    assert float(scores["per_clip"]["score"].mean()) == pytest.approx(scores["value"])
    values = outputs[:, :1]
    errors = score_outputs(values, targets.float(), "regression", clips)["per_clip"]["score"]
    assert errors.tolist() == pytest.approx((-((values[:, 0] - targets) ** 2)).tolist())
