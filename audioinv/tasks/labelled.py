"""The labels of a task, and which of its rows may be used for what."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator


@dataclass
class Labelled:
    """Targets of one task and which rows may be used for what.

    Args:
        targets: (n,) class indices or values, or (n, m) 0/1 labels or several values.
        train, valid: row indices; `valid` is for choosing only.
    """

    targets: Tensor
    kind: str
    classes: list[str]
    train: Tensor
    valid: Tensor

    @property
    def n_outputs(self) -> int:
        """How many numbers a head gives for an example: class scores, label logits or values."""
        return len(self.classes) or self.targets[:1].numel()

    @property
    def fit_rows(self) -> Tensor:
        """Rows for the final readout: training and validation together."""
        return torch.cat([self.train, self.valid])

    def check_values(self, name: str) -> None:
        """Raises a UserError if the labels never vary; `name` is of the task."""
        classes = self.kind == "classification"
        values = self.targets[self.fit_rows if classes else self.train]
        if not (values != values[:1]).any():
            one = self.classes[int(values[0])] if classes else values[0].tolist()
            raise UserError(
                f"task {name}: the label is {one} for every training clip, so there "
                "is nothing to learn; give others, or leave the task out by tasks=[...]"
            )

    def alone(self) -> Labelled:
        """The same over `fit_rows` alone, which are its rows 0, 1, ..."""
        rows = self.fit_rows
        train, valid = torch.arange(len(rows)).tensor_split([len(self.train)])
        return replace(self, targets=self.targets[rows], train=train, valid=valid)


def with_few_labels(data: Labelled, n: int, seed: int) -> Labelled:
    """The task with at most `n` training and `n` validation labels a class (regression: 10 n)."""
    if n == 0:
        return data
    train, valid = (
        _few(data, rows, n, seed, part)
        for part, rows in (("train", data.train), ("valid", data.valid))
    )
    return replace(data, train=train, valid=valid)


def _few(data: Labelled, rows: Tensor, n: int, seed: int, part: str) -> Tensor:
    order = rows[torch.randperm(len(rows), generator=generator(seed, "labels", part))]
    if data.kind != "classification":
        return order[: 10 * n]
    return order[_rank_in_class(data.targets[order]) < n]


def _rank_in_class(labels: Tensor) -> Tensor:
    """How many earlier rows have the same label, (n,)."""
    order = labels.argsort(stable=True)
    _, count = labels.unique(return_counts=True)
    first = (count.cumsum(0) - count).repeat_interleave(count)
    return torch.empty_like(order).scatter_(0, order, torch.arange(len(labels)) - first)


def evidence_rows(data: Labelled, most: int, seed: int) -> Tensor:
    """At most `most` of the rows for fitting, as evenly over the classes as they allow.

    All rows are shuffled in one way, so that folds and tasks over the same clips choose mostly the
    same, whose features are computed once.
    """
    allowed = torch.zeros(len(data.targets), dtype=torch.bool)
    allowed[data.fit_rows] = True
    order = torch.randperm(len(allowed), generator=generator(seed, "evidence"))
    order = order[allowed[order]]
    if data.kind != "classification":
        return order[:most]
    return order[_rank_in_class(data.targets[order]).argsort(stable=True)[:most]]
