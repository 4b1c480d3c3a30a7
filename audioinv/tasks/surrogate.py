"""The paper's joint gradient descent on a surrogate of the encoder: mode `surrogate`.

What the encoder says of a few labelled clips is computed once at every corner c of the cube, and
interpolated between the corners:

    f(x, i) ~ m(i) + s(i) (sum_c w_c f(x, c) - m(i)),     w_c = prod_k i_k^{c_k} (1 - i_k)^{1 - c_k}

with m the mean over the clips. A mean of differing features spreads less over the clips than each
of them: s makes up for that, so that the spread too is interpolated; without it, moving towards any
corner would pay by itself. This is exact at the corners and differentiable in i. On it, i and a
linear head are learnt as `adapt.learn_jointly` learns them (Chavhan et al., ICLR 2023), for next to
nothing; a few steps through the encoder itself then correct what interpolation got wrong.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from audioinv.base.errors import UserError
from audioinv.base.progress import shown
from audioinv.base.randomness import generator, seeded
from audioinv.base.tensors import device_of
from audioinv.core.encoder import AmortisedEncoder
from audioinv.tasks.features import FeatureCache
from audioinv.tasks.labelled import Labelled, evidence_rows
from audioinv.tasks.scores import task_loss
from audioinv.tasks.settings.adapt import AdaptConfig
from audioinv.tasks.standard import moments

MOST_COMPONENTS = 8
DIMENSIONS = 128
FITTED_ON = 1024
"""Feature vectors from which the projection is computed."""


@dataclass(frozen=True)
class Surrogate:
    """Projected features at all 2^K corners and, between them, their interpolation.

    Args:
        corners: (2^K, K). anchors: (2^K, n, p). mean, projection: (d,) and (d, p), of features.
    """

    corners: Tensor
    anchors: Tensor
    mean: Tensor
    projection: Tensor

    @cached_property
    def centres(self) -> Tensor:
        """The mean over the clips at each corner, (2^K, p)."""
        return self.anchors.mean(1)

    @cached_property
    def covariance(self) -> Tensor:
        """Between corners, (2^K, 2^K): of it follows the spread of any mixture."""
        apart = (self.anchors - self.centres[:, None]).flatten(1)
        return apart @ apart.T / apart.shape[1]

    def __call__(self, descriptor: Tensor, rows: Tensor) -> Tensor:
        """Features (b, p) of the anchored clips `rows` (b,) at `descriptor` (K,)."""
        w = self.weights(descriptor)
        mixed, centre = torch.einsum("c,cbp->bp", w, self.anchors[:, rows]), w @ self.centres
        wanted = w @ self.covariance.diagonal().sqrt()
        spread = (w @ self.covariance @ w).clamp_min(1e-12).sqrt()
        return centre + wanted / spread * (mixed - centre)

    def weights(self, descriptor: Tensor) -> Tensor:
        """w_c of every corner, (2^K,); they sum to 1."""
        on, off = self.corners * descriptor, (1 - self.corners) * (1 - descriptor)
        return (on + off).prod(1)

    def project(self, features: Tensor) -> Tensor:
        """What stands for features (b, d) of the encoder here, (b, p)."""
        return (features - self.mean) @ self.projection


@torch.no_grad()
def make_surrogate(
    encoder: AmortisedEncoder, features: FeatureCache, rows: Tensor, seed: int
) -> Surrogate:
    """The surrogate over the first windows of clips `rows` (n,).

    The features of all corners together are projected to their first principal components, each
    feature at unit variance.

    Raises:
        UserError: too many components to visit every corner.
    """
    size = encoder.space.size
    if size > MOST_COMPONENTS:
        raise UserError(
            f"mode surrogate visits all 2^K corners and K is {size}; "
            f"give soft or paper where K is above {MOST_COMPONENTS}"
        )
    corners = torch.tensor(list(itertools.product((0.0, 1.0), repeat=size)))
    maps = features.first_maps(rows)
    visited = shown(corners, "surrogate", "corners")
    every = torch.stack([_embed(encoder, maps, corner, features) for corner in visited])
    flat = every.flatten(0, 1)
    chosen = torch.randperm(len(flat), generator=generator(seed, "surrogate"))[:FITTED_ON]
    mean, std = moments(flat[chosen])
    standard = (flat[chosen] - mean) / std
    kept = min(DIMENSIONS, *standard.shape)
    with seeded(seed, "surrogate projection"):
        _, size_of, axes = torch.pca_lowrank(standard, kept, center=False, niter=1)
    scale = len(chosen) ** 0.5 / size_of[0].clamp_min(1e-6)  # the widest direction at deviation 1
    projection = axes * scale / std[:, None]
    anchors = (every - mean) @ projection
    return Surrogate(corners, anchors, mean, projection)


def _embed(
    encoder: AmortisedEncoder, maps: Tensor, corner: Tensor, features: FeatureCache
) -> Tensor:
    device, layers = device_of(encoder), features.layers
    return torch.cat([encoder.run(x.to(device), corner, layers).cpu() for x in maps.split(128)])


def learn_by_surrogate(
    encoder: AmortisedEncoder,
    features: FeatureCache,
    data: Labelled,
    config: AdaptConfig,
    seed: int = 0,
) -> Tensor:
    """The descriptor (K,) that a linear head and i reach together, mostly on the surrogate.

    `config.anchor_clips` training clips, as even over the classes as they allow, are anchored;
    `config.epochs` of Adam over them, then `config.true_steps` batches of all training clips
    through the encoder. i starts at 0.5 and is clamped to [0, 1], the head is discarded, of a
    clip's windows the first counts: all as in mode paper.

    Args:
        features: of all rows; front-end maps of training rows and `layers` are used.
    """
    encoder.eval().requires_grad_(False)
    rows = evidence_rows(replace(data, valid=data.valid[:0]), config.anchor_clips, seed)
    surrogate = make_surrogate(encoder, features, rows, seed)
    learner = _Learner(encoder.space.size, surrogate.projection.shape[1], data, config, seed)
    for epoch in shown(range(config.epochs), "descriptor by surrogate", "epochs"):
        order = torch.randperm(len(rows), generator=generator(seed, "surrogate order", epoch))
        for batch in order.split(config.batch_size):
            learner.step(surrogate(learner.descriptor, batch), rows[batch])
    order = torch.randperm(len(data.train), generator=generator(seed, "true order"))
    true = data.train[order[: config.true_steps * config.batch_size]]
    maps = features.first_maps(true)
    parts = torch.arange(len(true)).split(config.batch_size)
    for part in shown(parts, "descriptor by gradient", "steps"):
        x = maps[part].to(device_of(encoder))
        seen = encoder.run(x, learner.descriptor, features.layers).cpu()
        learner.step(surrogate.project(seen), true[part])
    learnt = learner.descriptor.detach().clone()
    return encoder.space.round(learnt) if config.rounding else learnt


class _Learner:
    """i and a linear head under one Adam."""

    def __init__(self, size: int, width: int, data: Labelled, config: AdaptConfig, seed: int):
        self.data = data
        self.descriptor = torch.full((size,), 0.5, requires_grad=True)
        with seeded(seed, "surrogate head"):
            self.head = nn.Linear(width, data.n_outputs)
        self.optimiser = torch.optim.Adam([self.descriptor, *self.head.parameters()], lr=config.lr)

    def step(self, seen: Tensor, rows: Tensor) -> None:
        """One step by features (b, p) of the clips `rows` (b,)."""
        loss = task_loss(self.head(seen), self.data.targets[rows], self.data.kind)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        with torch.no_grad():
            self.descriptor.clamp_(0, 1)
