"""Labels that come as an array: their kind, and what the readout calls them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.near import unknown
from audioinv.data.labels import clean
from audioinv.data.later import pandas as pd
from audioinv.data.task import KINDS

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Labels:
    """Targets as `Labelled` has them, and the label that each class stands for.

    Args:
        targets: class indices (n,), 0/1 labels (n, classes), or values (n,) or (n, D).
        values: (classes,), of any type; empty for a regression.
    """

    kind: str
    targets: Tensor
    values: NDArray[Any]

    @property
    def classes(self) -> list[str]:
        """The labels as text."""
        return [str(value) for value in self.values.tolist()]


def read_labels(y: Any, n: int, kind: str | None = None) -> Labels:
    """The labels of `n` clips.

    Args:
        y: (n,) or (n, D). kind: as of a `Task`; None takes whole numbers, texts and truth values
            for classes, columns of whole 0 and 1 for labels, and other numbers for values.

    Raises:
        UserError: not one label a clip, an unknown kind, labels that are missing, or values that
            are not finite.
    """
    array = _array(y)
    if array.ndim not in (1, 2) or len(array) != n:
        raise UserError(f"labels are {array.shape} and there are {n} clips; give one for each")
    kind = kind or _kind_of(array)
    if kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    if kind == "classification":
        if array.ndim == 2:
            raise UserError(f"class labels are {array.shape}; give ({n},)")
        values, index = np.unique(_all_there(array), return_inverse=True)
        return Labels(kind, torch.from_numpy(index), values)
    try:
        targets = torch.from_numpy(array.astype(np.float32))
    except (TypeError, ValueError) as error:
        raise UserError(f"labels of a {kind} are numbers: {error}") from error
    if not bool(targets.isfinite().all()):
        raise UserError(
            f"labels of a {kind} are finite numbers; some are not: leave those clips out"
        )
    if kind == "multilabel":
        return Labels(kind, targets, np.arange(targets.shape[1]))
    return Labels(kind, targets.squeeze(1) if targets.shape[1:] == (1,) else targets, np.array([]))


def _array(y: Any) -> NDArray[Any]:
    try:
        return np.asarray(y.detach().cpu() if isinstance(y, Tensor) else y)
    except ValueError as error:
        raise UserError(
            "labels are lists of several lengths; give 0 and 1 of every label, (n, labels)"
        ) from error


def _all_there(array: NDArray[Any]) -> NDArray[Any]:
    """Class labels, none of which is missing, of one type; a warning if some look alike.

    Raises:
        UserError: None, NaN or an empty text is among them, or they are of several types.
    """
    if missing := int((pd.isna(array) | (array == "")).sum()):
        raise UserError(f"{missing} of {len(array)} labels are missing; leave those clips out")
    if array.dtype.kind not in "OU":
        return array
    names = set(array.tolist())
    if len(kinds := {type(name).__name__ for name in names}) > 1:
        raise UserError(f"labels are {' and '.join(sorted(kinds))}; give all as one type")
    texts = [name for name in names if isinstance(name, str)]
    if len(set(map(clean, texts))) < len(texts):
        log.warning("some labels differ in blanks or in how é is written alone: %s", sorted(texts))
    return array


def _kind_of(array: NDArray[Any]) -> str:
    if array.ndim == 2:
        whole = array.dtype.kind in "biu" and bool(np.isin(array, (0, 1)).all())
        return "multilabel" if whole else "regression"
    return "regression" if array.dtype.kind == "f" else "classification"
