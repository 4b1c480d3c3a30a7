"""Which rows of a task are trained, chosen and tested on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audioinv.base.errors import UserError
from audioinv.data.labels import label_texts
from audioinv.data.later import pandas as pd
from audioinv.data.task import Task

MOST_GROUP_FOLDS = 3
Mask = NDArray[np.bool_]


def labelled(frame: pd.DataFrame, task: Task) -> Mask:
    """Which rows a task is of, (n,): all but those without a label, a group or a part of it.

    No label of a multilabel task is a label too: none of them.
    """
    named = [] if task.kind == "multilabel" or task.augmentation else [task.label]
    named += [name for name in (task.groups, task.split) if name]
    known = np.ones(len(frame), bool)
    for name in named:
        known &= (label_texts(frame[name]) != "").to_numpy()
    return known


def parts(frame: pd.DataFrame, task: Task) -> Iterator[tuple[Mask, Mask, Mask]]:
    """Masks (train, valid, test), each (n,), of every fold of a task.

    One fold by its own split or the manifest's; one a fold number, where the manifest has folds;
    or, with `task.groups`, at most three folds over its values.

    Raises:
        UserError: fewer than three groups or folds.
    """
    known = labelled(frame, task)
    if task.groups is None and (task.split or "split") in frame:
        split = label_texts(frame[task.split or "split"]).to_numpy()
        yield known & (split == "train"), known & (split == "valid"), known & (split == "test")
        return
    values = label_texts(frame[task.groups or "fold"]).to_numpy()
    number, count = _fold_numbers(values, known, task)
    for k in range(count):
        test, valid = number == k, number == (k + 1) % count
        yield known & ~(test | valid), known & valid, known & test


def _fold_numbers(values: NDArray[Any], known: Mask, task: Task) -> tuple[NDArray[Any], int]:
    """Fold of each row: a group value keeps together, values are dealt out in sorted order."""
    distinct = sorted(set(values[known]))
    if len(distinct) < 3:
        raise UserError(
            f"task {task.name} needs 3 groups to train, choose and test on, got {distinct}"
        )
    most = MOST_GROUP_FOLDS if task.groups else len(distinct)
    count = min(most, len(distinct))
    place = {value: k % count for k, value in enumerate(distinct)}
    return np.array([place.get(value, -1) for value in values]), count
