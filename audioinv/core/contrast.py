"""What pre-training contrasts: SimCLR, MoCo-v2 or MoCo-v3 around one conditioned encoder.

Each is a module with the same three steps: `forward` gives the projections of a process's views and
any further losses by name, `loss` compares the projections of all processes together, `after_step`
follows the optimiser.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audioinv.core.auxiliary import Equivariance, ParameterPredictor, described
from audioinv.core.bank import ViewParameters, Views
from audioinv.core.encoder import AmortisedEncoder
from audioinv.core.objectives import moco_v2, moco_v3, nt_xent
from audioinv.core.penalty import (
    PenaltyDraws,
    gradient_penalty,
    twice_differentiable,
    without_statistics,
)
from audioinv.core.projector import Projector

Projections = Sequence[Tensor]
Further = dict[str, Tensor]
"""Losses beside the contrastive one: "predict", "penalty" -> a scalar, not weighted."""


class SimCLR(nn.Module):
    """Both views through one network, which may also predict how they were made.

    With EquiMod's module the plain clips pass it as well, beside the views, and what the module
    predicts of the views' embeddings is contrasted with what they are.

    The gradient penalty has a pass of view 1 alone, as published: BatchNorm normalises it by its
    own batch and keeps no statistics of it, so that those see every batch once, with it or without.
    Second derivatives of the pass over both views would cost more.
    """

    def __init__(
        self,
        encoder: AmortisedEncoder,
        projector: Projector,
        predictor: ParameterPredictor | Equivariance,
        temperature: float,
        longest: float = math.inf,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.projector = projector
        self.predictor = predictor
        self.temperature = temperature
        self.longest = longest

    def forward(
        self,
        views: Views,
        params: ViewParameters,
        descriptor: Tensor,
        draws: PenaltyDraws | None = None,
    ) -> tuple[Projections, Further]:
        """Projections (B, dim) of two views under one descriptor (K,), and the further losses.

        With EquiMod's module, also predicted and actual embeddings of both views, (2 B, dim).

        Args:
            views: view 1 and view 2, with EquiMod's module the plain clips too.
            draws: of the gradient penalty; view 1 then has its graph. None leaves it out.
        """
        features = self.encoder(torch.cat([view.detach() for view in views]), descriptor)
        first, second = features.chunk(len(views))[:2]
        projections = self._projections(features[: 2 * len(first)], params, descriptor)
        further = {}
        if isinstance(self.predictor, Equivariance):
            projections = (*projections, *self.predictor(features, params))
        elif self.predictor.kind != "none":
            further["predict"] = self.predictor((first, second), params)
        if draws is not None:
            with twice_differentiable(), without_statistics(self.encoder):
                z = self.encoder(views[0], descriptor)
            further["penalty"] = gradient_penalty(z, params[0], draws, self.longest)
        return projections, further

    def _projections(
        self, features: Tensor, params: ViewParameters, descriptor: Tensor
    ) -> tuple[Tensor, ...]:
        """Projections (B, dim) of view 1 and view 2, whose features (2 B, d) follow another."""
        told = None
        if self.projector.kind == "parameters":
            told = described(self.predictor.bank, params).to(features)
        return self.projector(features, descriptor, told).chunk(2)

    def loss(self, projections: Projections, descriptor: Tensor) -> Tensor:
        """NT-Xent of both views, and with EquiMod's module that of predicted and actual."""
        first, second, *embeddings = projections
        loss = nt_xent(first, second, self.temperature)
        if isinstance(self.predictor, Equivariance):
            loss = loss + self.predictor.loss(*embeddings)
        return loss

    def after_step(self, projections: Projections, descriptor: Tensor, progress: float) -> None:
        """Nothing to follow."""


class MoCoV2(nn.Module):
    """Momentum contrast (He et al., CVPR 2020; v2: Chen et al., 2020), one queue a corner.

    Queries come from view 1, keys from view 2 by a copy of the network that follows it slowly;
    query, key and queue are of the same corner (Chavhan et al., ICLR 2023).

    BatchNorm without shuffling: statistics of the batch at hand would mark a query and its key as
    of one batch, and the queue's keys as of others, so MoCo shuffles its keys among devices. Here
    keys are normalised by running statistics instead, as EMAN does (Cai et al., CVPR 2021), and by
    those of their own corner: a key depends on no other example of its batch. One running average
    over all corners would fit none of them; see `CornerStatistics`.
    """

    def __init__(
        self,
        encoder: AmortisedEncoder,
        projector: Projector,
        queue: Queue,
        temperature: float,
        momentum: float,
    ) -> None:
        super().__init__()
        self.query = Branch(encoder, projector)
        self.key = MomentumCopy(self.query)
        self.statistics = CornerStatistics(self.query, len(queue.corners))
        self.queue = queue
        self.temperature = temperature
        self.momentum = momentum
        # DDP would send all queues to every process at every step; they are equal already.
        self._ddp_params_and_buffers_to_ignore = [f"queue.{n}" for n, _ in queue.named_buffers()]

    def forward(
        self, views: Views, params: ViewParameters, descriptor: Tensor, draws: None = None
    ) -> tuple[Projections, Further]:
        """Query of view 1 and key of view 2, (B, dim) each, and no further loss."""
        corner = self.queue.index(descriptor)
        before = running_statistics(self.query)
        query = self.query(views[0], descriptor)
        self.statistics.load(self.key, corner)
        key = self.key.eval()(views[1], descriptor)
        self.statistics.update(self.query, before, corner)
        return (query, key), {}

    def loss(self, projections: Projections, descriptor: Tensor) -> Tensor:
        """InfoNCE against the queue of this corner."""
        query, key = projections
        queue = self.queue.keys[self.queue.index(descriptor)]
        return moco_v2(query, key, queue, self.temperature)

    def after_step(self, projections: Projections, descriptor: Tensor, progress: float) -> None:
        """Moves the copy, and puts the keys of all processes into the corner's queue."""
        self.key.follow(self.query, self.momentum)
        self.queue.push(self.queue.index(descriptor), projections[1])


class MoCoV3(nn.Module):
    """Momentum contrast within the batch (Chen, Xie and He, ICCV 2021, algorithm 1).

    Every view is query and key at once; queries pass one MLP more, `head`, and the momentum rises
    to 1. Keys are normalised by statistics of their batch, as published: a query's negatives share
    its batch with its positive, so the statistics do not tell them apart.
    """

    def __init__(
        self,
        encoder: AmortisedEncoder,
        projector: Projector,
        head: Projector,
        temperature: float,
        momentum: float,
    ) -> None:
        super().__init__()
        self.query = Branch(encoder, projector)
        self.head = head
        self.key = MomentumCopy(self.query)
        self.temperature = temperature
        self.momentum = momentum

    def forward(
        self, views: Views, params: ViewParameters, descriptor: Tensor, draws: None = None
    ) -> tuple[Projections, Further]:
        """Predictions, then keys, of views 1 and 2, (B, dim) each, and no further loss."""
        both = torch.cat(views)
        query = self.head(self.query(both, descriptor), descriptor)
        key = self.key(both, descriptor)
        return (*query.chunk(2), *key.chunk(2)), {}

    def loss(self, projections: Projections, descriptor: Tensor) -> Tensor:
        """Each view's predictions against the other's keys."""
        q1, q2, k1, k2 = projections
        return moco_v3(q1, q2, k1, k2, self.temperature)

    def after_step(self, projections: Projections, descriptor: Tensor, progress: float) -> None:
        """Moves the copy, ever more slowly."""
        self.key.follow(self.query, rising_momentum(self.momentum, progress))


def weighted(further: Further, predict: float, penalty: float, clamp: float) -> Tensor | float:
    """What further losses add to the contrastive one by their weights; 0.0 where there are none.

    Args:
        clamp: a penalty above it counts as this much, and then has no gradient (InvCLR).
    """
    total: Tensor | float = 0.0
    if "predict" in further:
        total = total + predict * further["predict"]
    if "penalty" in further:
        total = total + penalty * further["penalty"].clamp_max(clamp)
    return total


class Branch(nn.Module):
    """Encoder and projector."""

    def __init__(self, encoder: AmortisedEncoder, projector: Projector) -> None:
        super().__init__()
        self.encoder = encoder
        self.projector = projector

    def forward(self, x: Tensor, descriptor: Tensor) -> Tensor:
        """Projections (B, dim) of `x` under one descriptor (K,)."""
        return self.projector(self.encoder(x, descriptor), descriptor)


class MomentumCopy(nn.Module):
    """A copy of a branch that no gradient reaches and that follows it slowly."""

    def __init__(self, branch: Branch) -> None:
        super().__init__()
        self.branch = copy.deepcopy(branch).requires_grad_(False)

    @torch.no_grad()
    def forward(self, x: Tensor, descriptor: Tensor) -> Tensor:
        """Keys (B, dim) of `x` under one descriptor (K,)."""
        return self.branch(x, descriptor)

    @torch.no_grad()
    def follow(self, branch: Branch, momentum: float) -> None:
        """Every parameter becomes momentum * itself + (1 - momentum) * the branch's (eq. 2)."""
        for own, new in zip(self.branch.parameters(), branch.parameters(), strict=True):
            own.lerp_(new, 1 - momentum)


class CornerStatistics(nn.Module):
    """BatchNorm's running means and variances at every corner, apart from one another.

    A conditioned network has other weights at each corner, and so other statistics. Those of a
    corner are the plain average over its first batches, then an exponential one with BatchNorm's
    own momentum. Before a corner's first batch they are those of a new BatchNorm.
    """

    visits: Tensor

    def __init__(self, branch: nn.Module, corners: int) -> None:
        super().__init__()
        self.register_buffer("visits", torch.zeros(corners, dtype=torch.long))
        for k, values in enumerate(running_statistics(branch)):
            self.register_buffer(f"norm_{k}", values.repeat(corners, 1, 1))

    def load(self, branch: nn.Module, corner: int) -> None:
        """Gives `branch` the statistics of a corner."""
        for k, norm in enumerate(batch_norms(branch)):
            mean, var = self.get_buffer(f"norm_{k}")[corner]
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(var)

    def update(self, branch: nn.Module, before: list[Tensor], corner: int) -> None:
        """Takes in the batch that moved the running statistics of `branch` from `before`."""
        self.visits[corner] += 1
        average = 1 / int(self.visits[corner])
        after = running_statistics(branch)
        for k, norm in enumerate(batch_norms(branch)):
            of_batch = before[k] + (after[k] - before[k]) / norm.momentum
            self.get_buffer(f"norm_{k}")[corner].lerp_(of_batch, max(average, norm.momentum))


def batch_norms(branch: nn.Module) -> list[Any]:
    """Every BatchNorm of `branch` that keeps running statistics."""
    norms = (m for m in branch.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm))
    return [norm for norm in norms if norm.track_running_stats]


def running_statistics(branch: nn.Module) -> list[Tensor]:
    """A copy of the running mean and variance of every BatchNorm, (2, features) each."""
    return [torch.stack([norm.running_mean, norm.running_var]) for norm in batch_norms(branch)]


class Queue(nn.Module):
    """The newest keys of every corner; the oldest leave first.

    Memory: corners * size * dim floats. K = 2 (3 corners) with 65,536 keys of 128 numbers take
    0.10 GB, K = 5 (26 corners) 0.87 GB; so do they in each checkpoint.

    Args:
        corners: (C, K). size: keys a corner. dim: numbers a key.
        generator: draws the random keys that every queue starts with, as MoCo's does.
    """

    corners: Tensor
    keys: Tensor
    oldest: Tensor

    def __init__(self, corners: Tensor, size: int, dim: int, generator: torch.Generator) -> None:
        super().__init__()
        keys = torch.randn(len(corners), size, dim, generator=generator)
        self.register_buffer("corners", corners, persistent=False)
        self.register_buffer("keys", keys.div_(keys.norm(dim=2, keepdim=True)))
        self.register_buffer("oldest", torch.zeros(len(corners), dtype=torch.long))

    def index(self, descriptor: Tensor) -> int:
        """Which of the corners `descriptor` (K,) is."""
        return int((self.corners == descriptor).all(1).nonzero()[0])

    @torch.no_grad()
    def push(self, corner: int, keys: Tensor) -> None:
        """Puts `keys` (B, dim), made unit vectors, in the place of a corner's B oldest."""
        size = self.keys.shape[1]
        places = (self.oldest[corner] + torch.arange(len(keys), device=keys.device)) % size
        self.keys[corner, places] = F.normalize(keys, dim=1)
        self.oldest[corner] = (self.oldest[corner] + len(keys)) % size


def rising_momentum(start: float, progress: float) -> float:
    """MoCo-v3's momentum: half a cosine from `start` to 1 as `progress` goes from 0 to 1."""
    return 1 - (1 - start) * 0.5 * (1 + math.cos(math.pi * progress))
