"""Mean average precision of many labels, and its bootstrap, without a loop over labels.

The average precision of a label is the mean over its positives of the precision at the score of
each; clips of equal score count together (as scikit-learn has it). Labels are sorted once: a
bootstrap draw gives clips other weights and keeps their order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

MOST_NUMBERS = 1 << 23
"""Scores that are sorted together: so many labels at a time."""


@dataclass(frozen=True)
class Ranked:
    """Some labels, each with its clips from the highest score to the lowest.

    Args:
        order: (labels, n), clips. positives: (P, 2), label and place in its order, ascending.
        end: (P,), the last place of the same score.
    """

    order: Tensor
    positives: Tensor
    end: Tensor

    @classmethod
    def of(cls, scores: Tensor, targets: Tensor) -> Ranked:
        """Scores and 0/1 targets (n, labels), ranked."""
        ordered, order = scores.T.sort(dim=1, descending=True, stable=True)
        positives = targets.T.gather(1, order).nonzero()
        label, place = positives.T
        last = torch.ones_like(ordered, dtype=torch.bool)
        last[:, :-1] = ordered[:, 1:] != ordered[:, :-1]
        n = ordered.shape[1]
        ends = torch.where(last, torch.arange(n), n).flip(1).cummin(1).values.flip(1)
        return cls(order, positives, ends[label, place])

    def precision(self, weights: Tensor) -> tuple[float, int]:
        """The sum of the average precisions of labels with positives, and how many there are.

        Args:
            weights: of the clips, (n,), float64: how often each counts.
        """
        label, place = self.positives.T
        total = weights[self.order].cumsum(1)[label, self.end]
        own = weights[self.order[label, place]]
        found = own.cumsum(0)
        count = label.bincount(minlength=len(self.order))
        before = torch.cat([found.new_zeros(1), found])[(count.cumsum(0) - count)[label]]
        right = found[self._last_positive()] - before
        sums = weights.new_zeros(len(self.order)).index_add_(0, label, own)
        parts = own * right / total.clamp_min(1e-300)
        each = weights.new_zeros(len(self.order)).index_add_(0, label, parts)
        there = sums > 0
        return float((each[there] / sums[there]).sum()), int(there.sum())

    def _last_positive(self) -> Tensor:
        """For each positive, the index of the last one of its label up to the end of its score."""
        n = self.order.shape[1]
        key = self.positives[:, 0] * n
        return torch.searchsorted(key + self.positives[:, 1], key + self.end, right=True) - 1


def ranked(scores: Tensor, targets: Tensor) -> Iterator[Ranked]:
    """All labels, a few at a time."""
    step = max(1, MOST_NUMBERS // len(scores))
    for own, wanted in zip(scores.split(step, 1), targets.split(step, 1), strict=True):
        yield Ranked.of(own, wanted)


def mean_average_precision(scores: Tensor, targets: Tensor) -> float:
    """Mean over the labels that any of these clips has; the others have no precision.

    0 where these clips have no label at all.

    Args:
        scores, targets: (n, labels).
    """
    return float(weighted_precision(scores, targets, torch.ones(1, len(scores)))[0])


def weighted_precision(scores: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """`mean_average_precision` (D,) where clips count as often as `weights` (D, n) say."""
    sums = torch.zeros(len(weights), 2, dtype=torch.float64)
    for part in ranked(scores, targets):
        for k, own in enumerate(weights):
            sums[k] += torch.tensor(part.precision(own.double()), dtype=torch.float64)
    return sums[:, 0] / sums[:, 1].clamp_min(1)


def bootstrap_precision(scores: Tensor, targets: Tensor, draws: Iterator[Tensor]) -> Tensor:
    """`mean_average_precision` of the clips (n,) of each of `draws`, (D,)."""
    counts = [rows.bincount(minlength=len(scores)).to(torch.int32) for rows in draws]
    return weighted_precision(scores, targets, torch.stack(counts))
