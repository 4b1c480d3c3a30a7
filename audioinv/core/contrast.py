"""What pre-training contrasts: SimCLR, MoCo-v2 or MoCo-v3 around one conditioned encoder."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audioinv.core.auxiliary import Equivariance, ParameterPredictor, described
from audioinv.core.bank import AugmentationBank, ViewParameters
from audioinv.core.descriptor import place_of
from audioinv.core.encoder import AmortisedEncoder
from audioinv.core.objective import Draws, Losses, Objective, Shown
from audioinv.core.objectives import moco_v2, moco_v3, nt_xent
from audioinv.core.penalty import GradientPenalty
from audioinv.core.precision import outside_autocast
from audioinv.core.projector import Projector
from audioinv.core.statistics import batch_norms

Projections = Sequence[Tensor]


class Contrastive(Objective):
    """Compares projections of all processes' views together: `outputs`, then `loss`."""

    def forward(self, shown: Shown, corner: Tensor) -> Losses:
        """The contrastive loss, "contrast", and further ones: "predict", "penalty"."""
        outputs, further = self.outputs(shown, corner)
        projections = [self.together(output) for output in outputs]
        with outside_autocast(projections[0]):
            return {"contrast": self.loss(projections, corner), **further}

    def outputs(self, shown: Shown, corner: Tensor) -> tuple[Projections, Losses]:
        """Projections (B, dim) of a process's views under a corner (K,), and further losses."""
        raise NotImplementedError

    def loss(self, projections: Projections, corner: Tensor) -> Tensor:
        """Compares the projections of all processes."""
        raise NotImplementedError


class SimCLR(Contrastive):
    """Both views through one network, which may also predict how they were made.

    With EquiMod's module the plain clips pass it as well, beside the views, and what the module
    predicts of the views' embeddings is contrasted with what they are.

    Args:
        penalty: None leaves it out.
        predict_weight: of the predictor's loss; EquiMod's module weighs its own.
        chunk: anchors at a time, as of `nt_xent`.
    """

    def __init__(
        self,
        encoder: AmortisedEncoder,
        projector: Projector,
        predictor: ParameterPredictor | Equivariance,
        temperature: float,
        penalty: GradientPenalty | None = None,
        predict_weight: float = 1.0,
        chunk: int = 0,
    ) -> None:
        super().__init__(predictor.bank)
        self.encoder = encoder
        self.projector = projector
        self.predictor = predictor
        self.temperature = temperature
        self.penalty = penalty or GradientPenalty(predictor.bank, 0, 0.0)
        self.predict_weight = predict_weight
        self.chunk = chunk

    def views(self, x: Tensor, corner: Tensor, step: Draws, tracked: Sequence[str] = ()) -> Shown:
        """Two views; for EquiMod the plain clips too; for the penalty view 1 has its graph."""
        shown = super().views(x, corner, step, [*tracked, *self.penalty.active(corner)])
        if isinstance(self.predictor, Equivariance):
            shown = shown._replace(views=(*shown.views, self.bank.plain(x)))
        keyed = step.generator("penalty")
        draws = self.penalty.draw(shown.params[0], corner, keyed, step.total, step.own)
        return shown._replace(draws=draws)

    def outputs(self, shown: Shown, corner: Tensor) -> tuple[Projections, Losses]:
        """Projections (B, dim) of both views, and "predict" and "penalty" where they are on.

        With EquiMod's module, also predicted and actual embeddings of both views, (2 B, dim).
        """
        views, params, draws = shown
        features = self.encoder(torch.cat([view.detach() for view in views]), corner)
        first, second = features.chunk(len(views))[:2]
        projections = self._projections(features[: 2 * len(first)], params, corner)
        further: Losses = {}
        if isinstance(self.predictor, Equivariance):
            projections = (*projections, *self.predictor(features, params))
        elif self.predictor.kind != "none":
            further["predict"] = self.predictor((first, second), params)
        if draws is not None:
            further["penalty"] = self.penalty(self.encoder, views[0], params[0], draws, corner)
        return projections, further

    def _projections(
        self, features: Tensor, params: ViewParameters, corner: Tensor
    ) -> tuple[Tensor, ...]:
        """Projections (B, dim) of view 1 and view 2, whose features (2 B, d) follow another."""
        told = None
        if self.projector.kind == "parameters":
            told = described(self.bank, params).to(features)
        return self.projector(features, corner, told).chunk(2)

    def loss(self, projections: Projections, corner: Tensor) -> Tensor:
        """NT-Xent of both views, and with EquiMod's module that of predicted and actual."""
        first, second = projections[:2]
        loss = nt_xent(first, second, self.temperature, self.chunk)
        if isinstance(self.predictor, Equivariance):
            loss = loss + self.predictor.loss(projections[2], projections[3], self.chunk)
        return loss

    def total(self, losses: Losses) -> Tensor:
        """The contrastive loss and, by their weights, those beside it."""
        further: Tensor | float = 0.0
        if "predict" in losses:
            further = further + self.predict_weight * losses["predict"]
        if "penalty" in losses:
            further = further + self.penalty.weighted(losses["penalty"])
        return losses["contrast"] + further


class MoCoV2(Contrastive):
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
        bank: AugmentationBank,
        encoder: AmortisedEncoder,
        projector: Projector,
        queue: Queue,
        temperature: float,
        momentum: float,
    ) -> None:
        super().__init__(bank)
        self.query = Branch(encoder, projector)
        self.key = MomentumCopy(self.query)
        self.statistics = CornerStatistics(self.query, len(queue.corners))
        self.queue = queue
        self.temperature = temperature
        self.momentum = momentum
        self.newest: Tensor | None = None  # keys of the step, which `follow` puts into the queue
        # DDP would send all queues to every process at every step; they are equal already.
        self._ddp_params_and_buffers_to_ignore = [f"queue.{n}" for n, _ in queue.named_buffers()]

    def outputs(self, shown: Shown, corner: Tensor) -> tuple[Projections, Losses]:
        """Query of view 1 and key of view 2, (B, dim) each, and no further loss."""
        place = self.queue.index(corner)
        before = running_statistics(self.query)
        query = self.query(shown.views[0], corner)
        self.statistics.load(self.key, place)
        key = self.key.eval()(shown.views[1], corner)
        self.statistics.update(self.query, before, place)
        return (query, key), {}

    def loss(self, projections: Projections, corner: Tensor) -> Tensor:
        """InfoNCE against the queue of this corner, and against a twin, which it has not yet."""
        query, self.newest = projections
        queue = self.queue.keys[self.queue.index(corner)]
        twins = self.bank.twins_of(len(query), corner)
        return moco_v2(query, self.newest, queue, self.temperature, twins)

    def follow(self, corner: Tensor, progress: float) -> None:
        """Moves the copy, and puts the keys of all processes into the corner's queue."""
        self.key.follow(self.query, self.momentum)
        assert self.newest is not None  # `loss` was before
        self.queue.push(self.queue.index(corner), self.newest)


class MoCoV3(Contrastive):
    """Momentum contrast within the batch (Chen, Xie and He, ICCV 2021, algorithm 1).

    Every view is query and key at once; queries pass one MLP more, `head`, and the momentum rises
    to 1. Keys are normalised by statistics of their batch, as published: a query's negatives share
    its batch with its positive, so the statistics do not tell them apart.
    """

    def __init__(
        self,
        bank: AugmentationBank,
        encoder: AmortisedEncoder,
        projector: Projector,
        head: Projector,
        temperature: float,
        momentum: float,
    ) -> None:
        super().__init__(bank)
        self.query = Branch(encoder, projector)
        self.head = head
        self.key = MomentumCopy(self.query)
        self.temperature = temperature
        self.momentum = momentum

    def outputs(self, shown: Shown, corner: Tensor) -> tuple[Projections, Losses]:
        """Predictions, then keys, of views 1 and 2, (B, dim) each, and no further loss."""
        both = torch.cat(shown.views)
        query = self.head(self.query(both, corner), corner)
        key = self.key(both, corner)
        return (*query.chunk(2), *key.chunk(2)), {}

    def loss(self, projections: Projections, corner: Tensor) -> Tensor:
        """Each view's predictions against the other's keys."""
        q1, q2, k1, k2 = projections
        return moco_v3(q1, q2, k1, k2, self.temperature)

    def follow(self, corner: Tensor, progress: float) -> None:
        """Moves the copy, ever more slowly."""
        self.key.follow(self.query, rising_momentum(self.momentum, progress))


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
        for k, norm in enumerate(batch_norms(branch).values()):
            mean, var = self.get_buffer(f"norm_{k}")[corner]
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(var)

    def update(self, branch: nn.Module, before: list[Tensor], corner: int) -> None:
        """Takes in the batch that moved the running statistics of `branch` from `before`."""
        self.visits[corner] += 1
        average = 1 / self.visits[corner].float()  # stays on its device: nothing waits for it
        after = running_statistics(branch)
        for k, norm in enumerate(batch_norms(branch).values()):
            of_batch = before[k] + (after[k] - before[k]) / norm.momentum
            own = self.get_buffer(f"norm_{k}")[corner]
            own.lerp_(of_batch, average.clamp_min(norm.momentum).to(own.dtype))


def running_statistics(branch: nn.Module) -> list[Tensor]:
    """A copy of the running mean and variance of every BatchNorm, (2, features) each."""
    norms = batch_norms(branch).values()
    return [torch.stack([norm.running_mean, norm.running_var]) for norm in norms]


class Queue(nn.Module):
    """The newest keys of every corner; the oldest leave first.

    Memory: corners * size * dim floats. K = 2 (3 corners) with 65,536 keys of 128 numbers take
    0.10 GB, K = 5 (26 corners) 0.87 GB; so do they in each checkpoint.

    Args:
        corners: (C, K). size: keys a corner. dim: numbers a key.
        generator: draws the random keys that every queue starts with, as MoCo's does.
    """

    keys: Tensor
    oldest: Tensor

    def __init__(self, corners: Tensor, size: int, dim: int, generator: torch.Generator) -> None:
        super().__init__()
        keys = torch.randn(len(corners), size, dim, generator=generator)
        self.corners = corners  # on the CPU, where a step's corner is drawn
        self.register_buffer("keys", keys.div_(keys.norm(dim=2, keepdim=True)))
        self.register_buffer("oldest", torch.zeros(len(corners), dtype=torch.long))

    def index(self, descriptor: Tensor) -> int:
        """Which of the corners `descriptor` (K,) is."""
        return place_of(self.corners, descriptor)

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
