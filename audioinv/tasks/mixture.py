"""What a task takes its features from: descriptors with weights, and levels of the network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from audioinv.core.embedding import cut
from audioinv.tasks.evidence import corner_weights

FeaturesAt = Callable[[Tensor], Tensor]
"""Descriptor (K,) -> features (n, d) of all rows at it."""
NEGLIGIBLE = 0.02
"""A part that weighs less, beside the heaviest, is left out."""


@dataclass
class Mixture:
    """Parts whose features stand side by side: a descriptor each, and where in its features.

    Args:
        descriptors: (M, K), one a part. weights: (M,), which sum to at most 1.
        reported: (K,), what is said to be learnt.
        spans: (M, 2), first and last column (not included) of each part's features: a level of
            the network. None takes all of them.
        depth: (L,) weights of the levels, which sum to 1; None where they were not chosen.
    """

    descriptors: Tensor
    weights: Tensor
    reported: Tensor
    spans: Tensor | None = None
    depth: Tensor | None = None

    @classmethod
    def single(cls, descriptor: Tensor) -> Mixture:
        """One descriptor (K,)."""
        return cls(descriptor[None], torch.ones(1), descriptor)

    def features(self, features_at: FeaturesAt) -> Tensor:
        """Concatenated features (n, D) of the parts."""
        distinct, place = self.descriptors.unique(dim=0, return_inverse=True)
        known = [features_at(descriptor) for descriptor in distinct]
        return self.taken([known[k] for k in place.tolist()])

    def taken(self, features: Sequence[Tensor]) -> Tensor:
        """The parts' features (n, D), of all features (n, d) at the descriptor of each part."""
        return torch.cat(list(cut(features, self.spans)), dim=1)

    def scales(self, features: int) -> Tensor:
        """sqrt(w_m / d_m) for each of the D features of part m, times sqrt(D), which makes their
        mean square 1: the readout's metric."""
        m = len(self.weights)
        sizes = torch.full((m,), features // m)
        if self.spans is not None:
            sizes = self.spans[:, 1] - self.spans[:, 0]
        return (self.weights * (features / sizes)).sqrt().repeat_interleave(sizes)

    def tensors(self) -> dict[str, Tensor]:
        """What to store: all fields but those that are None."""
        return {name: value for name, value in vars(self).items() if value is not None}


def mean_mixture(mixtures: Sequence[Mixture]) -> Mixture:
    """The mean of the folds' mixtures: all their parts, the heaviest first."""
    parts, place = torch.cat([_named(each) for each in mixtures]).unique(dim=0, return_inverse=True)
    weights = torch.cat([each.weights.float() / len(mixtures) for each in mixtures])
    mean = torch.zeros(len(parts)).index_add_(0, place, weights)
    order = mean.argsort(descending=True, stable=True)
    reported = torch.stack([each.reported for each in mixtures]).mean(0)
    parts, k = parts[order], len(reported)
    spans = parts[:, k:].long() if parts.shape[1] > k else None
    return Mixture(parts[:, :k], mean[order], reported, spans, mean_depth(mixtures))


def _named(mixture: Mixture) -> Tensor:
    """Each part by its descriptor and span, (M, K) or (M, K + 2)."""
    if mixture.spans is None:
        return mixture.descriptors
    return torch.cat([mixture.descriptors, mixture.spans.to(mixture.descriptors.dtype)], 1)


def mean_depth(mixtures: Iterable[Mixture]) -> Tensor | None:
    """Weights of the levels, (L,), the mean of the mixtures'; None where they were not chosen."""
    own = [each.depth for each in mixtures if each.depth is not None]
    return torch.stack(own).mean(0) if own else None


@dataclass(frozen=True)
class Parts:
    """Every corner at every level; level 0 of several, the front end's, is at the first corner
    alone: it is the same at all of them.

    Args:
        corners: (C, K). sizes: how many features each level has, in the order of the columns.
    """

    corners: Tensor
    sizes: tuple[int, ...]

    @property
    def plain(self) -> int:
        """How many levels do not depend on the descriptor: 1 or 0."""
        return int(len(self.sizes) > 1)

    def levels(self, corner: int) -> range:
        """The levels of which there is a part at the corner of this number."""
        return range(0 if corner == 0 else self.plain, len(self.sizes))

    @property
    def places(self) -> Tensor:
        """Corner and level of each part, (P, 2)."""
        every = range(len(self.corners))
        return torch.tensor([(c, level) for c in every for level in self.levels(c)])

    def weights(self, q: Tensor, depth: Tensor) -> Tensor:
        """w_c(q_l) s_l of each part, (P,).

        Args:
            q: (L, K), a product distribution over corners for each level that depends on them, or
                (1, K), one for all. depth: s, (levels,).
        """
        conditioned = corner_weights(q, self.corners).T * depth[self.plain :]
        return torch.cat([depth[: self.plain], conditioned.flatten()])

    def mixture(self, weights: Tensor, most: int) -> Mixture:
        """The heaviest parts by weights (P,), at most so many; what is reported is the mean corner
        under the weights."""
        corner, level = self.places.T
        top = weights.topk(min(most, len(weights)))
        kept = top.indices[top.values >= NEGLIGIBLE * top.values[0]]
        depends = weights * (level >= self.plain)
        reported = depends @ self.corners[corner].to(weights.dtype) / depends.sum().clamp_min(1e-12)
        share = (weights[kept] / weights[kept].sum()).float()
        single = Mixture(self.corners[corner[kept]], share, reported.float())
        if not self.plain:
            return single
        sizes = torch.tensor(self.sizes)
        spans = torch.stack([sizes.cumsum(0) - sizes, sizes.cumsum(0)], 1)
        depth = torch.zeros(len(sizes)).index_add_(0, level, weights.float())
        return replace(single, spans=spans[level[kept]], depth=depth)
