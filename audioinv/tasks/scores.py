"""Scores of predictions, with intervals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from audioinv.tasks.precision import bootstrap_precision, mean_average_precision
from audioinv.tasks.readout import decide

DRAWS, MANY_CLIPS, DRAWS_OF_MANY = 1000, 5000, 100


def score_outputs(
    outputs: Tensor, targets: Tensor, kind: str, clips: Tensor, metric: str = "r2"
) -> dict[str, Any]:
    """Metric, value, 95% interval and companions of test outputs.

    Classification: accuracy with Wilson's interval (Wilson, 1927), balanced accuracy and the
    accuracy of always guessing the commonest class. Multilabel: mean average precision over the
    labels that are tested on, and macro F1. Regression: R^2 and mean absolute error, each the mean
    over the values where there are several. Intervals of the last two by 1,000 bootstrap draws, or
    by 100 above 5,000 clips, which "draws" says.

    Args:
        outputs: class scores, label scores or values, (n, m). clips: row in the pack, (n,).
        metric: of a regression, "r2" or "mse", the mean squared error in squared units of the
            label, averaged over the values where there are several.

    Returns:
        fields of a `Result`; "per_clip" holds two tensors (n,), `clips` and `score`: 1 where right,
        or minus the mean squared error, by which `audioinv table` pairs methods clip by clip.
    """
    if kind == "regression":
        outputs = outputs.squeeze(1)
    if kind == "classification":
        predicted = outputs.argmax(1)
        values, per_clip = score_classes(predicted, targets), (predicted == targets).float()
    elif kind == "multilabel":
        targets = targets.float()
        values = _score_labels(outputs, targets)
        per_clip = -(outputs.sigmoid() - targets).square().mean(1)
    else:
        values = _score_values(outputs, targets, metric)
        per_clip = -(outputs - targets).square().reshape(len(targets), -1).mean(1)
    return {**values, "per_clip": {"clips": clips, "score": per_clip}}


def _score_labels(outputs: Tensor, targets: Tensor) -> dict[str, Any]:
    present = targets.sum(0) > 0
    return {
        "metric": "map",
        "value": mean_average_precision(outputs, targets),
        **_interval(bootstrap_precision(outputs, targets, resamples(len(targets)))),
        "chance": float(targets.mean(0)[present].mean()),
        "n_test": len(targets),
        "macro_f1": _macro_f1((outputs > 0).float(), targets),
    }


def _score_values(outputs: Tensor, targets: Tensor, metric: str) -> dict[str, Any]:
    """Chance is what guessing the mean of the tested targets scores."""
    measure = _mse if metric == "mse" else _r2
    return {
        "metric": metric,
        "value": measure(outputs, targets),
        **bootstrap(measure, outputs, targets),
        "chance": _mse(targets.mean(0), targets) if metric == "mse" else 0.0,
        "n_test": len(targets),
        "r2": _r2(outputs, targets),
        "mse": _mse(outputs, targets),
        "mae": float((outputs - targets).abs().mean()),
    }


def score_classes(predicted: Tensor, targets: Tensor) -> dict[str, Any]:
    """Accuracy and its companions of predicted class indices (n,)."""
    right = predicted == targets
    return {
        "metric": "accuracy",
        "value": float(right.float().mean()),
        "interval": wilson(int(right.sum()), len(targets)),
        "balanced_accuracy": _balanced_accuracy(predicted, targets),
        "chance": float(targets.bincount().max()) / len(targets),
        "n_test": len(targets),
    }


def wilson(k: int, n: int) -> tuple[float, float]:
    """Wilson's 95% interval of a proportion, seen `k` times in `n` trials."""
    from scipy.stats import binomtest

    interval = binomtest(k, n).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def bootstrap(metric: Any, predicted: Tensor, targets: Tensor) -> dict[str, Any]:
    """`interval`, and `draws` where they are fewer: of `metric` over resampled test clips."""
    rows = resamples(len(targets))
    return _interval(torch.tensor([metric(predicted[r], targets[r]) for r in rows]))


def resamples(n: int) -> Iterator[Tensor]:
    """Draws (n,) of n clips with replacement, the same for every method."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(DRAWS if n <= MANY_CLIPS else DRAWS_OF_MANY):
        yield torch.randint(n, (n,), generator=generator)


def _interval(values: Tensor) -> dict[str, Any]:
    """The 2.5% and 97.5% quantiles of the values of draws (D,), and D where it is not 1,000."""
    low, high = torch.quantile(values.float(), torch.tensor([0.025, 0.975])).tolist()
    fewer = {} if len(values) == DRAWS else {"draws": len(values)}
    return {"interval": (low, high), **fewer}


def _balanced_accuracy(predicted: Tensor, targets: Tensor) -> float:
    """Mean recall of the tested classes; torchmetrics also averages those only predicted."""
    from torchmetrics.functional.classification import multiclass_accuracy  # heavy: scores alone

    classes = max(int(targets.max()), int(predicted.max()), 1) + 1
    recalls = multiclass_accuracy(predicted, targets, num_classes=classes, average="none")
    return float(recalls[targets.unique()].mean())


def _mse(predicted: Tensor, targets: Tensor) -> float:
    return float((predicted - targets).square().mean())


def _r2(predicted: Tensor, targets: Tensor) -> float:
    from torchmetrics.functional.regression import r2_score

    return float(r2_score(predicted, targets))


def _macro_f1(predicted: Tensor, targets: Tensor) -> float:
    from torchmetrics.functional.classification import multilabel_f1_score

    return float(
        multilabel_f1_score(predicted, targets.long(), num_labels=targets.shape[1], average="macro")
    )


def score(outputs: Tensor, targets: Tensor, kind: str) -> float:
    """Accuracy, mean average precision, or R^2 (its mean over several values): higher is better.

    Labels are not judged by their accuracy: where few are positive, saying never is hard to beat.

    Args:
        outputs: class scores, label scores or values, (n, m).
    """
    if kind == "multilabel":
        return mean_average_precision(outputs, targets)
    predicted = decide(outputs, kind)
    if kind == "regression":
        residual = (predicted - targets).square().sum(0)
        total = (targets - targets.mean(0)).square().sum(0).clamp_min(1e-12)
        return float((1 - residual / total).mean())
    return float((predicted == targets).float().mean())


def task_loss(outputs: Tensor, targets: Tensor, kind: str) -> Tensor:
    """Cross entropy, binary cross entropy per label, or L1 (the paper's regression loss).

    Args:
        outputs: (n, m). targets: class indices (n,), labels (n, m), or values (n,) or (n, m).
    """
    if kind == "classification":
        return F.cross_entropy(outputs, targets.long())
    if kind == "multilabel":
        return F.binary_cross_entropy_with_logits(outputs, targets.float())
    return F.l1_loss(outputs.squeeze(1), targets.float())
