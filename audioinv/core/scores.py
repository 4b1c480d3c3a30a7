"""Scores of predictions, with intervals."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_accuracy, multilabel_f1_score
from torchmetrics.functional.regression import mean_absolute_error, r2_score

Z = 1.959964


def score_predictions(predicted: Tensor, targets: Tensor, kind: str) -> dict[str, Any]:
    """Metric, value, 95% interval and companions of test predictions.

    Classification: accuracy with Wilson's interval (Wilson, 1927), balanced accuracy and the
    accuracy of always guessing the commonest class. Multilabel: macro F1. Regression: R^2 and mean
    absolute error; intervals of both by 1,000 bootstrap draws.
    """
    n = len(targets)
    if kind == "classification":
        value = float((predicted == targets).float().mean())
        return {
            "metric": "accuracy",
            "value": value,
            "interval": wilson(value, n),
            "balanced_accuracy": _balanced_accuracy(predicted, targets),
            "chance": float(targets.bincount().max()) / n,
            "n_test": n,
        }
    if kind == "multilabel":
        metric, extra = _macro_f1, {}
    else:
        metric, extra = _r2, {"mae": float(mean_absolute_error(predicted, targets))}
    return {
        "metric": "macro_f1" if kind == "multilabel" else "r2",
        "value": metric(predicted, targets),
        "interval": bootstrap(metric, predicted, targets),
        "chance": 0.0,
        "n_test": n,
        **extra,
    }


def wilson(share: float, n: int) -> list[float]:
    """Wilson's 95% interval of a proportion `share` seen in `n` trials."""
    centre = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
    return [max(0.0, centre - half), min(1.0, centre + half)]


def bootstrap(metric: Any, predicted: Tensor, targets: Tensor, draws: int = 1000) -> list[float]:
    """The 2.5% and 97.5% quantiles of `metric` over resampled test clips."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(len(targets), (draws, len(targets)), generator=generator)
    values = torch.tensor([metric(predicted[r], targets[r]) for r in rows])
    return torch.quantile(values, torch.tensor([0.025, 0.975])).tolist()


def _balanced_accuracy(predicted: Tensor, targets: Tensor) -> float:
    """Mean recall of the tested classes; torchmetrics also averages those only predicted."""
    classes = max(int(targets.max()), int(predicted.max()), 1) + 1
    recalls = multiclass_accuracy(predicted, targets, num_classes=classes, average="none")
    return float(recalls[targets.unique()].mean())


def _r2(predicted: Tensor, targets: Tensor) -> float:
    return float(r2_score(predicted, targets))


def _macro_f1(predicted: Tensor, targets: Tensor) -> float:
    return float(
        multilabel_f1_score(predicted, targets.long(), num_labels=targets.shape[1], average="macro")
    )
