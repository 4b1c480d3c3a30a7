"""Which corners a task visits, and the evidence that it finds there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.progress import counted
from audioinv.core.descriptor import DescriptorSpace, flip
from audioinv.tasks.evidence import centre_targets, evidence_of_features, kernel
from audioinv.tasks.features import FeatureCache
from audioinv.tasks.labelled import Labelled, evidence_rows

FeaturesAt = Callable[[Tensor], Tensor]
ALL_OF = 128
"""A space of so many corners, K = 7, is visited whole."""
MOST = 60
"""Corners that are visited of a larger one."""


def only(features_at: FeaturesAt, rows: Tensor) -> FeaturesAt:
    """`features_at` of `rows` (r,) alone; a cache does not compute the others' features for it."""
    if isinstance(features_at, FeatureCache):
        return partial(features_at.some, clips=rows)
    return lambda descriptor: features_at(descriptor)[rows]


def prepare(features_at: FeaturesAt, corners: Iterable[Tensor], rows: Tensor) -> None:
    """Lets a cache compute the features of `rows` (r,) at all of these corners in one pass."""
    if isinstance(features_at, FeatureCache):
        features_at.prepare(list(corners), rows)


class TaskEvidence:
    """The evidence of a task's targets at corners of the cube, each computed once.

    Args:
        features_at: descriptor (K,) -> features (n, d) of all rows at it.
        max_labels: of the rows for fitting, at most so many are seen.
    """

    def __init__(self, features_at: FeaturesAt, data: Labelled, max_labels: int, seed: int) -> None:
        self.rows = evidence_rows(data, max_labels, seed)
        self.y = centre_targets(data.targets[self.rows], data.kind, len(data.classes))
        self.features_at = features_at
        self.few = only(features_at, self.rows)
        self.known: dict[tuple[float, ...], Tensor] = {}

    def of(self, corners: Tensor) -> Tensor:
        """Log evidence (C,) at corners (C, K), float64."""
        prepare(self.features_at, corners, self.rows)
        with counted("evidence", "corners") as progress:
            for k, corner in enumerate(corners):
                key = tuple(corner.tolist())
                if key not in self.known:
                    self.known[key] = evidence_of_features(self.few(corner), self.y)
                progress(k + 1, len(corners))
        return torch.stack([self.known[tuple(corner.tolist())] for corner in corners])

    def halves(self, corners: Tensor) -> Tensor:
        """The lower triangles of the kernels, (C, n (n + 1) / 2)."""
        prepare(self.features_at, corners, self.rows)
        rows, columns = torch.tril_indices(len(self.y), len(self.y))
        return torch.stack([kernel(self.few(corner))[rows, columns] for corner in corners])

    def visit(self, space: DescriptorSpace, most: int = 0) -> Tensor:
        """The corners (C, K) that the task looks at: all, or the best found within `most`.

        Where there are more, from all-on: of the corners seen, that of highest evidence whose
        neighbours were not looked at yet lets its neighbours be computed, each of one component
        flipped, until there are `most`.

        Args:
            most: 0 takes all of up to 128 corners, and 60 of more.

        Raises:
            UserError: a number below 0.
        """
        if most < 0:
            raise UserError(f"adapt.most_corners is {most}; give 0 or more")
        if 2**space.size <= (most or ALL_OF):
            return space.corners
        seen, opened = [space.all_on()], set()
        while len(seen) < (most or MOST):
            values = self.of(torch.stack(seen)).tolist()
            known = {tuple(c.tolist()) for c in seen}
            closed = [k for k in range(len(seen)) if tuple(seen[k].tolist()) not in opened]
            if not closed:
                break
            best = seen[max(closed, key=lambda k: values[k])]
            opened.add(tuple(best.tolist()))
            around = [flip(best, k) for k in range(space.size)]
            new = [c for c in around if c.sum() >= space.min_active]
            seen += [c for c in new if tuple(c.tolist()) not in known][: (most or MOST) - len(seen)]
        return torch.stack(seen)
