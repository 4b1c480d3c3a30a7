"""Adaptation: a task learns its descriptor together with a readout, from one frozen encoder.

A mode turns training features into a `Mixture`, a few corners (or one descriptor) with weights:

    fixed:NAMES    the given corner: all, none, a+b (only these), -a+b (all but these)
    search         the corner of highest evidence; search:validation, of highest validation score
    soft           q, a product distribution over corners, learnt by evidence, cut to the top ones
    paper          i in [0,1]^K by gradient descent, with a softmax head (Chavhan et al., ICLR 2023)
    surrogate      the same on features interpolated between corners, in seconds (`tasks.surrogate`)
"""

from __future__ import annotations

import torch
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.progress import shown
from audioinv.base.randomness import generator, seeded
from audioinv.base.tensors import device_of
from audioinv.core.descriptor import DescriptorSpace, flip
from audioinv.core.encoder import AmortisedEncoder
from audioinv.tasks import modes
from audioinv.tasks.corners import TaskEvidence, only, prepare
from audioinv.tasks.features import FeatureCache
from audioinv.tasks.labelled import Labelled
from audioinv.tasks.mixture import FeaturesAt, Mixture
from audioinv.tasks.readout import Readout, fit_readout
from audioinv.tasks.scores import score, task_loss
from audioinv.tasks.settings.adapt import AdaptConfig

MOST_TRIED = 32
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Inverse L2 of a logistic readout to choose from."""


def choose(
    mode: str,
    space: DescriptorSpace,
    features_at: FeaturesAt,
    data: Labelled,
    config: AdaptConfig,
    seed: int = 0,
) -> Mixture:
    """The descriptor or mixture that `mode` picks, from training and validation rows only.

    Args:
        features_at: descriptor (K,) -> features (n, d) of all rows at it.

    Raises:
        UserError: unknown mode, one that descends gradients, or a corner of no component.
    """
    mode = modes.check(mode)
    evidence = TaskEvidence(space, features_at, data, config, seed)
    if corner := modes.corner_of(mode):
        return evidence.at(space.parse(corner))
    if mode == "search:validation":
        own = config.readout, evidence.scales
        return evidence.at(best_by_validation(space, features_at, data, *own))
    if mode == "search":
        corners = evidence.visit()
        return evidence.at(corners[int(evidence.of(corners).argmax())])
    if mode == "soft":
        return evidence.soft(evidence.visit())
    raise UserError(f"mode '{mode}' needs the encoder and cannot do with its features")


def fit(mixture: Mixture, features_at: FeaturesAt, data: Labelled, config: AdaptConfig) -> Readout:
    """The final readout on the features of a mixture, fitted to training and validation rows.

    The L2 of a logistic readout is `config.l2`, or the one that does best on validation rows when
    fitted to training rows; ridge chooses its own by leave-one-out.
    """
    prepare(features_at, mixture.descriptors, data.fit_rows)
    features = mixture.features(only(features_at, data.fit_rows))
    scales = mixture.scales(features.shape[1])
    data, strength = data.alone(), 1.0
    chosen = config.readout == "logistic" and not config.l2 and data.kind != "regression"
    if chosen and len(data.valid):
        strength = max(
            STRENGTHS, key=lambda c: validation_score(features, data, "logistic", c, scales)
        )
    return fit_readout(
        features, data.targets, data.kind, data.classes, config.readout, strength, scales, config.l2
    )


def best_by_validation(
    space: DescriptorSpace,
    features_at: FeaturesAt,
    data: Labelled,
    readout: str,
    scales: Tensor | None = None,
) -> Tensor:
    """The corner (K,) whose readout, fitted on training rows, scores best on validation rows.

    Among up to 32 corners by trying all; among more by flipping, from all-on, the component that
    gains most, until none does.

    Raises:
        UserError: there are no validation rows.
    """
    if len(data.valid) == 0:
        raise UserError("search:validation needs validation clips; the task has none, use search")
    known: dict[tuple[float, ...], float] = {}
    few, alone = only(features_at, data.fit_rows), data.alone()

    def value(corner: Tensor) -> float:
        key = tuple(corner.tolist())
        if key not in known:
            known[key] = validation_score(few(corner), alone, readout, scales=scales)
        return known[key]

    if len(space.corners) <= MOST_TRIED:
        prepare(features_at, space.corners, data.fit_rows)
        best: Tensor = max(shown(space.corners, "validation", "corners"), key=value)
        return best
    best = space.all_on()
    while True:
        flips = [flip(best, k) for k in range(space.size)]
        candidate = max((c for c in flips if c.sum() >= space.min_active), key=value)
        if value(candidate) <= value(best):
            return best
        best = candidate


def validation_score(
    features: Tensor,
    data: Labelled,
    readout: str,
    strength: float = 1.0,
    scales: Tensor | None = None,
) -> float:
    """Score on validation rows of a readout fitted on training rows of `features` (n, d)."""
    x, y = features[data.train], data.targets[data.train]
    fitted = fit_readout(x, y, data.kind, data.classes, readout, strength, scales)
    return score(fitted.scores(features[data.valid]), data.targets[data.valid], data.kind)


def learn_jointly(
    encoder: AmortisedEncoder,
    features: FeatureCache,
    data: Labelled,
    config: AdaptConfig,
    seed: int = 0,
) -> Tensor:
    """The paper's way: i (K,) starts at 0.5, Adam on i and on a linear head over the same batches.

    i is clamped to [0, 1] after each step, the head is discarded: like every other mode, this one
    is scored with the final readout. The encoder is frozen; its normalisation statistics are those
    at i, constant within a step.

    Of a clip's windows it sees the first.

    Args:
        features: of all rows; the front-end maps of training rows and `layers` are used.
    """
    encoder.eval().requires_grad_(False)
    device, layers = device_of(encoder), features.layers
    maps, targets = features.first_maps(data.train), data.targets[data.train].to(device)
    descriptor = torch.full((encoder.space.size,), 0.5, requires_grad=True)
    with seeded(seed, "paper head"):
        head = torch.nn.LazyLinear(data.n_outputs)
        head(encoder.run(maps[:1].to(device), descriptor.detach(), layers).cpu())
    optimiser = torch.optim.Adam([descriptor, *head.to(device).parameters()], lr=config.lr)
    for epoch in shown(range(config.epochs), "descriptor by gradient", "epochs"):
        order = torch.randperm(len(maps), generator=generator(seed, "paper order", epoch))
        for rows in order.split(config.batch_size):
            seen = encoder.run(maps[rows].to(device), descriptor, layers)
            loss = task_loss(head(seen), targets[rows], data.kind)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            with torch.no_grad():
                descriptor.clamp_(0, 1)
    learnt = descriptor.detach().clone()
    return encoder.space.round(learnt) if config.rounding else learnt
