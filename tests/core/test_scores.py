from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from sklearn.metrics import balanced_accuracy_score, f1_score, mean_absolute_error, r2_score

from audioinv.core.randomness import generator
from audioinv.core.scores import score_predictions, wilson


@pytest.mark.parametrize(("k", "n"), [(0, 10), (3, 10), (10, 10), (37, 50), (960, 1000)])
def test_wilson_is_scipys(k: int, n: int) -> None:
    expected = binomtest(k, n).proportion_ci(method="wilson")
    assert wilson(k / n, n) == pytest.approx([expected.low, expected.high], abs=1e-6)


def test_classification_scores() -> None:
    g = generator(0, "scores")
    targets = torch.randint(4, (200,), generator=g).clamp_max(2)
    guess = torch.randint(3, (200,), generator=g)
    predicted = torch.where(torch.rand(200, generator=g) < 0.6, targets, guess)
    scores = score_predictions(predicted, targets, "classification")
    share = (predicted == targets).float().mean()
    assert scores["metric"] == "accuracy" and scores["n_test"] == 200
    assert scores["value"] == pytest.approx(float(share))
    assert scores["interval"] == pytest.approx(wilson(float(share), 200))
    assert scores["chance"] == pytest.approx(float(targets.bincount().max()) / 200)
    assert scores["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(targets, predicted))


@pytest.mark.parametrize("predicted", [[0, 0, 2, 2, 3, 0], [0, 0, 0, 0, 0, 0]])
def test_balanced_accuracy_is_over_the_classes_that_are_tested(predicted: list[int]) -> None:
    targets = torch.tensor([0, 0, 0, 2, 2, 2])
    scores = score_predictions(torch.tensor(predicted), targets, "classification")
    assert scores["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(targets, predicted))


def test_one_class_in_the_test_part_still_scores() -> None:
    scores = score_predictions(torch.zeros(5).long(), torch.zeros(5).long(), "classification")
    assert scores["value"] == scores["balanced_accuracy"] == 1.0


def test_regression_scores() -> None:
    g = generator(1, "scores")
    targets = torch.randn(300, generator=g)
    predicted = targets + 0.5 * torch.randn(300, generator=g)
    scores = score_predictions(predicted, targets, "regression")
    assert scores["metric"] == "r2"
    assert scores["value"] == pytest.approx(r2_score(targets, predicted), abs=1e-5)
    assert scores["mae"] == pytest.approx(mean_absolute_error(targets, predicted), abs=1e-6)
    low, high = scores["interval"]
    assert low < scores["value"] < high and 0.02 < high - low < 0.2
    mean = torch.full_like(targets, float(targets.mean()))
    assert score_predictions(mean, targets, "regression")["value"] == pytest.approx(0, abs=1e-4)


def test_multilabel_scores() -> None:
    g = generator(2, "scores")
    targets = (torch.rand(100, 3, generator=g) < 0.4).float()
    flipped = torch.rand(100, 3, generator=g) < 0.2
    predicted = torch.where(flipped, 1 - targets, targets)
    scores = score_predictions(predicted, targets, "multilabel")
    assert scores["metric"] == "macro_f1"
    expected = f1_score(targets.numpy(), predicted.numpy(), average="macro")
    assert scores["value"] == pytest.approx(expected, abs=1e-6)
    assert np.diff(scores["interval"])[0] > 0
