"""Which loss a run descends: that of its settings, or one of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from timm.models import is_model_in_modules
from torch import nn

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator, seeded
from audioinv.core.auxiliary import Equivariance, ParameterPredictor, described_size
from audioinv.core.backbone import OTHERS
from audioinv.core.bank import AugmentationBank
from audioinv.core.contrast import MoCoV2, MoCoV3, Queue, SimCLR
from audioinv.core.encoder import AmortisedEncoder
from audioinv.core.objective import Objective
from audioinv.core.penalty import GradientPenalty
from audioinv.core.projector import Projector
from audioinv.training.config import PretrainConfig
from audioinv.training.order import trained_corners

Make = Callable[[AmortisedEncoder, AugmentationBank], nn.Module]
"""Of the user: encoder and bank -> an `Objective` that holds the encoder."""


def make_objective(
    encoder: AmortisedEncoder,
    bank: AugmentationBank,
    config: PretrainConfig,
    seed: int,
    own: Make | None = None,
) -> Objective:
    """What trains `encoder`: `own`, its weights drawn by the seed, or what `config` says.

    Raises:
        UserError: settings out of range, or `own` gives no `Objective`.
    """
    if own is None:
        return _of_settings(encoder, bank, config, seed)
    with seeded(seed, "projector"):
        made = own(encoder, bank)
    if not isinstance(made, Objective):
        raise UserError(
            f"objective makes a {type(made).__name__}; give a subclass of audioinv.Objective, or a "
            "function of (encoder, bank) that makes one"
        )
    return made


def may_leave_out(encoder: AmortisedEncoder, config: PretrainConfig, own: Make | None) -> bool:
    """Whether a step may leave a parameter without gradient.

    Every parameter of a ResNet takes part at every step; so does every one of our losses, but for
    the projectors of corners that the step does not draw. Of other networks and losses nothing is
    known.
    """
    network = encoder.backbone.config["name"]
    resnet = network not in OTHERS and is_model_in_modules(network, ("resnet",))
    return own is not None or config.projector == "per_descriptor" or not resnet


def _of_settings(
    encoder: AmortisedEncoder, bank: AugmentationBank, config: PretrainConfig, seed: int
) -> Objective:
    v3 = config.objective == "moco_v3"
    width, dim, kind = config.projector_hidden, config.projector_dim, config.projector
    layers, tau = config.projector_layers, config.temperature
    with seeded(seed, "projector"):
        last_norm = v3 or config.projector_norm
        norm, dropout, told = config.projector_batch_norm, config.dropout, described_size(bank)
        projector = Projector(
            bank.space, encoder.dim, width, dim, kind, layers, last_norm, norm, dropout, told
        )
        if v3:
            head = Projector(
                bank.space, projector.dim, width, dim, kind, last_norm=True, batch_norm=norm
            )
            return MoCoV3(bank, encoder, projector, head, tau, config.momentum)
        if config.objective == "simclr":
            predictor = _predictor(encoder, bank, config)
            penalty = _penalty(encoder, bank, config)
            further = (penalty, config.predict_weight, config.loss_chunk)
            return SimCLR(encoder, projector, predictor, tau, *further)
    corners = trained_corners(bank.space, config.corners)
    queue = Queue(corners, config.queue_size, projector.dim, generator(seed, "queue"))
    return MoCoV2(bank, encoder, projector, queue, tau, config.momentum)


def _predictor(encoder: AmortisedEncoder, bank: AugmentationBank, config: PretrainConfig) -> Any:
    width, dim = config.projector_hidden, config.projector_dim
    predictor = ParameterPredictor(bank, encoder.dim, width, config.predict)
    if config.predict != Equivariance.kind:
        return predictor
    own = (config.predict_weight, config.predict_temperature)
    return Equivariance(bank, encoder.dim, width, dim, *own)


def _penalty(
    encoder: AmortisedEncoder, bank: AugmentationBank, config: PretrainConfig
) -> GradientPenalty:
    return GradientPenalty(
        bank,
        encoder.dim,
        config.penalty,
        config.penalty_draws,
        config.penalty_on,
        config.penalty_clamp,
        config.penalty_longest,
    )
