"""The labels of a task, and which of its rows may be used for what."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

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
    rank = torch.zeros(len(labels), dtype=torch.long)
    for label in labels.unique():
        members = (labels == label).nonzero().flatten()
        rank[members] = torch.arange(len(members))
    return rank


def evidence_rows(data: Labelled, most: int, seed: int) -> Tensor:
    """At most `most` of the rows for fitting, as evenly over the classes as they allow."""
    rows = data.fit_rows
    order = rows[torch.randperm(len(rows), generator=generator(seed, "evidence"))]
    if data.kind != "classification":
        return order[:most]
    return order[_rank_in_class(data.targets[order]).argsort(stable=True)[:most]]
