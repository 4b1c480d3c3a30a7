"""Linear readouts of frozen features, fitted by ridge or scikit-learn and kept as one matrix.

Every readout standardises its features by the training features and is a linear map after that, so
that it can be stored, inspected and exported as four tensors.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.near import unknown
from audioinv.tasks.ridge import fit_ridge
from audioinv.tasks.standard import moments

READOUTS = ("logistic", "ridge", "lda")
NEVER = -1e9  # bias of a class that training lacks


def decide(outputs: Tensor, kind: str) -> Tensor:
    """Outputs (n, m) -> class indices (n,), 0/1 labels (n, m), or values: (n,) of one, (n, m)."""
    if kind == "classification":
        return outputs.argmax(1)
    return (outputs > 0).float() if kind == "multilabel" else outputs.squeeze(1)


@dataclass
class Readout:
    """scores = ((features - mean) / std) @ weight.T + bias.

    Args:
        mean, std: (d,). weight: (outputs, d). bias: (outputs,).
        kind: classification, multilabel or regression.
        classes: label of each output; empty for regression.
    """

    mean: Tensor
    std: Tensor
    weight: Tensor
    bias: Tensor
    kind: str
    classes: list[str]

    def scores(self, features: Tensor) -> Tensor:
        """(n, outputs) of `features` (n, d): class scores, or regressed values."""
        return ((features - self.mean) / self.std) @ self.weight.T + self.bias

    def predict(self, features: Tensor) -> Tensor:
        """Class indices (n,), 0/1 labels (n, classes), or values (n,) or (n, outputs)."""
        return decide(self.scores(features), self.kind)

    @property
    def has_two(self) -> bool:
        """Whether it tells two classes apart: their scores are one number, plus and minus."""
        return int((self.bias > NEVER / 2).sum()) == 2

    def tensors(self) -> dict[str, Tensor]:
        """What to store, beside kind and classes."""
        return {"mean": self.mean, "std": self.std, "weight": self.weight, "bias": self.bias}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], kind: str, classes: list[str]) -> Readout:
        """The readout that `tensors` described."""
        return cls(
            tensors["mean"], tensors["std"], tensors["weight"], tensors["bias"], kind, classes
        )


def told(scores: Tensor, kind: str, by_ridge: bool = False, two: bool = False) -> Tensor:
    """What scores (n, m) of a readout or a head say of classes or labels, as probabilities (n, m).

    Ridge is fitted to -1 and 1, so that (1 + score) / 2 estimates a probability: the nearest point
    of the simplex is taken, or of [0, 1] for a label. The others give log odds: of two classes one
    logit, plus and minus. Values stay as they are.

    Args:
        kind: of the task. two: whether the scores of classes are one logit, plus and minus.
    """
    if kind == "regression":
        return scores
    if by_ridge:
        halves = (1 + scores) / 2
        return halves.clamp(0, 1) if kind == "multilabel" else nearest_probabilities(halves)
    if kind == "multilabel":
        return scores.sigmoid()
    return (scores / 2 if two else scores).softmax(1)


def nearest_probabilities(x: Tensor) -> Tensor:
    """The point of the simplex nearest to each row of `x` (n, m).

    Duchi, Shalev-Shwartz, Singer and Chandra (ICML 2008), figure 1.
    """
    ordered = x.double().sort(1, descending=True).values
    count = torch.arange(1, x.shape[1] + 1, device=x.device)
    excess = (ordered.cumsum(1) - 1) / count
    support = (ordered > excess).sum(1, keepdim=True)
    return (x - excess.gather(1, support - 1)).clamp_min(0).to(x.dtype)


def fit_readout(
    features: Tensor,
    targets: Tensor,
    kind: str,
    classes: list[str],
    name: str = "ridge",
    strength: float = 1.0,
    scales: Tensor | None = None,
    l2: float = 0.0,
) -> Readout:
    """Fits a readout to training features (n, d).

    Args:
        targets: class indices (n,), 0/1 labels (n, classes), or values (n,) or (n, m), by `kind`.
        name: "ridge" (strength by leave-one-out; one for all values, classes or labels), "logistic"
            (L-BFGS, inverse L2 `strength`; one fit a label), or "lda" (Ledoit-Wolf shrinkage).
            Regression always uses ridge, and multilabel ridge or logistic.
        scales: (d,) multiplies the standardised features: the metric of the regularisation.
        l2: of regressions: minimises the squared error, its mean over clips and over the m values,
            + l2 ||w||^2 (InvCLR's readout), in closed form, which L-BFGS would find too; 0 chooses
            one by leave-one-out. Of logistic: the mean cross entropy + l2 ||w||^2, instead of
            `strength`; in multilabel, of each label by itself.

    Raises:
        UserError: unknown readout, lda of several labels, an l2 below 0 or one for a readout of
            classes that chooses its own, or training labels of fewer than two classes.
    """
    if name not in READOUTS:
        raise unknown("readout", name, READOUTS)
    if not 0 <= l2 < math.inf:
        raise UserError(f"adapt.l2 is {l2}; give 0 or more")
    if kind == "multilabel" and name == "lda":
        raise UserError("readout lda is of classes; of several labels give ridge or logistic")
    if l2 and kind != "regression" and name != "logistic":
        raise UserError(
            f"adapt.l2 is {l2} and readout {name} of classes chooses its own; "
            "give adapt.readout=logistic or adapt.l2=0"
        )
    mean, std = moments(features)
    if scales is not None:
        std = std / scales
    x = ((features - mean) / std).double().numpy()
    from sklearn.exceptions import ConvergenceWarning  # heavy: whoever only applies one need not

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        weight, bias = _fit(x, targets.numpy(), kind, name, strength, len(classes), l2)
    return Readout(
        mean,
        std,
        torch.as_tensor(weight, dtype=torch.float32),
        torch.as_tensor(bias, dtype=torch.float32),
        kind,
        list(classes),
    )


def _fit(
    x: np.ndarray, y: np.ndarray, kind: str, name: str, strength: float, n_classes: int, l2: float
) -> tuple[np.ndarray, np.ndarray]:
    if kind == "regression":
        if l2:
            from sklearn.linear_model import Ridge

            model = Ridge(l2 * y.size).fit(x, y.reshape(len(y), -1))
            return np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_)
        weight, bias, _ = fit_ridge(x, y.reshape(len(y), -1))
        return weight, bias
    strength = 1 / (2 * l2 * len(x)) if l2 else strength
    if kind == "multilabel":
        if name == "ridge":
            weight, bias, _ = fit_ridge(x, 2.0 * y - 1)
            return weight, bias
        rows = [_fit_label(x, label, strength) for label in y.T]
        return np.stack([weight for weight, _ in rows]), np.array([bias for _, bias in rows])
    seen = np.unique(y)
    if len(seen) < 2:
        raise UserError(
            "the training part has fewer than two classes; check the label and the split"
        )
    if name == "ridge":
        weight, bias, _ = fit_ridge(x, 2.0 * (y[:, None] == seen) - 1)
    else:
        model = _classifier(name, strength).fit(x, y)
        weight, bias = model.coef_, model.intercept_
    return _spread_over_classes(weight, bias, seen, n_classes)


def _fit_label(x: np.ndarray, y: np.ndarray, strength: float) -> tuple[np.ndarray, float]:
    """One 0/1 label; one that never varies in training is always predicted so."""
    if y.min() == y.max():
        return np.zeros(x.shape[1]), NEVER if y[0] == 0 else -NEVER
    model = _logistic(strength).fit(x, y)
    return model.coef_[0], float(model.intercept_[0])


def _classifier(name: str, strength: float) -> Any:
    if name == "lda":
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

        return LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    return _logistic(strength)


def _logistic(strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=200)


def _spread_over_classes(
    weight: np.ndarray, bias: np.ndarray, seen: np.ndarray, n_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn gives one row for two classes, and none for classes that training lacks."""
    if len(seen) == 2 and len(weight) == 1:
        weight, bias = np.concatenate([-weight, weight]), np.concatenate([-bias, bias])
    full = np.zeros((n_classes, weight.shape[1]))
    offset = np.full(n_classes, NEVER)
    full[seen], offset[seen] = weight, bias
    return full, offset
