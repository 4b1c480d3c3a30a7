"""Which corners a task visits, and the evidence that it finds there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property, partial

import torch
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.progress import counted, shown
from audioinv.core.descriptor import DescriptorSpace, flip
from audioinv.tasks.evidence import (
    centre_targets,
    evidence_of_features,
    kernel,
    learn_weights,
)
from audioinv.tasks.features import FeatureCache
from audioinv.tasks.labelled import Labelled, evidence_rows
from audioinv.tasks.mixture import FeaturesAt, Mixture, Parts
from audioinv.tasks.settings.adapt import AdaptConfig

ALL_OF = 32
"""A space of so many corners, K = 5, is visited whole."""


def usual_number(k: int) -> int:
    """How many corners of a larger one are visited: as many as all-on has single and pairwise
    flips, and itself. 29 of K = 7, 56 of K = 10."""
    return 1 + k + k * (k - 1) // 2


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
        features_at: descriptor (K,) -> features (n, d) of all rows at it; those of several levels
            side by side if it has `sizes`, how many each of them has.
        config: of it count `max_labels`, of the rows for fitting, `most_corners`, `top_corners`
            and `evidence_steps`.
    """

    def __init__(
        self,
        space: DescriptorSpace,
        features_at: FeaturesAt,
        data: Labelled,
        config: AdaptConfig,
        seed: int,
    ) -> None:
        self.space = space
        self.features_at = features_at
        self.data = data
        self.config = config
        self.seed = seed
        self.sizes: tuple[int, ...] | None = getattr(features_at, "sizes", None)
        self.known: dict[tuple[float, ...], Tensor] = {}

    @cached_property
    def rows(self) -> Tensor:
        """Of the rows for fitting, those that it sees, (n,)."""
        return evidence_rows(self.data, self.config.max_labels, self.seed)

    @cached_property
    def y(self) -> Tensor:
        """Their centred targets (n, m)."""
        return centre_targets(self.data.targets[self.rows], self.data.kind, len(self.data.classes))

    @cached_property
    def few(self) -> FeaturesAt:
        """Their features at a descriptor."""
        return only(self.features_at, self.rows)

    @cached_property
    def scales(self) -> Tensor | None:
        """Of features (d,) of all levels, which weigh alike where corners are compared: what a task
        makes of the levels differs from corner to corner. None where features are one piece."""
        if self.sizes is None:
            return None
        sizes = torch.tensor(self.sizes)
        return (sizes.sum() / (len(sizes) * sizes)).sqrt().repeat_interleave(sizes)

    def of(self, corners: Tensor) -> Tensor:
        """Log evidence (C,) at corners (C, K), float64."""
        prepare(self.features_at, corners, self.rows)
        with counted("evidence", "corners") as progress:
            for k, corner in enumerate(corners):
                key = tuple(corner.tolist())
                if key not in self.known:
                    found = evidence_of_features(self.few(corner), self.y, self.scales)
                    self.known[key] = found
                progress(k + 1, len(corners))
        return torch.stack([self.known[tuple(corner.tolist())] for corner in corners])

    def at(self, descriptor: Tensor) -> Mixture:
        """One descriptor (K,), its levels weighed by the evidence where there are several."""
        if self.sizes is None:
            return Mixture.single(descriptor)
        return replace(self.soft(descriptor[None]), reported=descriptor)

    def soft(self, corners: Tensor) -> Mixture:
        """A product distribution over corners (C, K), and weights of the levels, that together have
        the highest evidence, cut to the heaviest parts.

        Where some corners alone were visited, what is reported is their mean under it: of a
        component that is alike in all of them q says nothing.
        """
        parts, config = Parts(corners, self.sizes or (0,)), self.config
        alike = self.sizes is None or len(corners) == 1 or config.joint
        start = [
            torch.zeros(1 if alike else len(parts.sizes) - parts.plain, corners.shape[1]),
            torch.zeros(len(parts.sizes)),
        ]

        def weights_of(logits: Tensor, levels: Tensor) -> Tensor:
            return parts.weights(logits.sigmoid(), levels.softmax(0))

        (logits, levels), _ = learn_weights(
            self.halves(parts),
            self.y,
            weights_of,
            [each.to(self.y.dtype) for each in start],
            config.evidence_steps,
        )
        mixture = parts.mixture(weights_of(logits, levels), config.top_corners)
        if len(corners) < len(self.space.corners):
            return mixture
        share = levels.softmax(0)[parts.plain :]
        q = logits.sigmoid().expand(len(share), -1)
        return replace(mixture, reported=(share @ q / share.sum()).float())

    def halves(self, parts: Parts) -> Tensor:
        """The lower triangles of the kernels of all parts, (P, n (n + 1) / 2)."""
        prepare(self.features_at, parts.corners, self.rows)
        rows, columns = torch.tril_indices(len(self.y), len(self.y))
        found = []
        for c, corner in shown(enumerate(parts.corners), "kernels", "corners"):
            features = self.few(corner)
            levels = features.split(parts.sizes, dim=1) if self.sizes else [features]
            found += [kernel(levels[level])[rows, columns] for level in parts.levels(c)]
        return torch.stack(found)

    def visit(self) -> Tensor:
        """The corners (C, K) that the task looks at: all, or the best found within `most_corners`.

        Where there are more, from all-on: of the corners seen, that of highest evidence whose
        neighbours were not looked at yet lets its neighbours be computed, each of one component
        flipped, until there are so many. 0 takes all of up to 32 corners, of more `usual_number`.

        Raises:
            UserError: a number below 0.
        """
        space, most = self.space, self.config.most_corners
        if most < 0:
            raise UserError(f"adapt.most_corners is {most}; give 0 or more")
        if not getattr(self.features_at, "depends", True):
            return space.all_on()[None]
        if 2**space.size <= (most or ALL_OF):
            return space.corners
        most = most or usual_number(space.size)
        seen, opened = [space.all_on()], set()
        while len(seen) < most:
            values = self.of(torch.stack(seen)).tolist()
            known = {tuple(c.tolist()) for c in seen}
            closed = [k for k in range(len(seen)) if tuple(seen[k].tolist()) not in opened]
            if not closed:
                break
            best = seen[max(closed, key=lambda k: values[k])]
            opened.add(tuple(best.tolist()))
            around = [flip(best, k) for k in range(space.size)]
            new = [c for c in around if c.sum() >= space.min_active]
            seen += [c for c in new if tuple(c.tolist()) not in known][: most - len(seen)]
        return torch.stack(seen)
