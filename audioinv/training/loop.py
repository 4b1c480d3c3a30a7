"""Contrastive learning under a descriptor: the pre-training loop, top to bottom.

Each step draws one corner from the allowed list, makes two views of a batch under it, and pulls the
projections of the two views together; the encoder is conditioned on that corner. What is contrasted
with what (SimCLR, MoCo-v2, MoCo-v3) is in `contrast`.
Every random draw is keyed by (seed, purpose, step), so a run that was killed and resumed ends with
the weights of one that never stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor

from audioinv.base.randomness import generator, seeded
from audioinv.core.auxiliary import Equivariance, ParameterPredictor, described_size
from audioinv.core.bank import AugmentationBank, ClipSource
from audioinv.core.bases import release
from audioinv.core.contrast import MoCoV2, MoCoV3, Queue, SimCLR, weighted
from audioinv.core.encoder import AmortisedEncoder
from audioinv.core.penalty import PenaltySampler
from audioinv.core.projector import Projector
from audioinv.training.ahead import ahead
from audioinv.training.config import PretrainConfig, check
from audioinv.training.finite import FiniteSteps
from audioinv.training.log import MetricsLog
from audioinv.training.optimiser import make_optimiser, set_learning_rate
from audioinv.training.order import batch_indices, draw_corner, trained_corners
from audioinv.training.processes import (
    any_process,
    gather,
    mean_over_processes,
    own_rows,
    pinned,
    synchronise_norms,
)
from audioinv.training.resume import resume, training_state, where
from audioinv.training.signals import Stopped
from audioinv.training.state import save_checkpoint


def pretrain(
    encoder: AmortisedEncoder,
    bank: AugmentationBank,
    clips: ClipSource,
    config: PretrainConfig,
    run: Path,
    fabric: Fabric,
    seed: int = 0,
    progress: Callable[[int, float, float], None] = lambda step, loss, lr: None,
    stop: Callable[[], bool] = lambda: False,
) -> AmortisedEncoder:
    """Trains `encoder` in place and returns it; resumes from `run`/checkpoints if there are any.

    Args:
        run: gets metrics.jsonl, tensorboard/ and checkpoints/.
        progress: called after every step with (steps done, loss, learning rate).
        stop: asked after every step; true on any process writes a checkpoint and ends the run.

    Raises:
        UserError: a setting out of range, too few clips, or a loss that is not finite.
        Stopped: `stop` said so.
    """
    check(config, len(clips), fabric.world_size)
    contrast = make_contrast(encoder, bank, config, seed)
    penalty = PenaltySampler(
        bank, encoder.dim, config.penalty, config.penalty_draws, config.penalty_on
    )
    if config.sync_batch_norm:
        synchronise_norms(contrast)
    optimiser = make_optimiser(contrast, config)
    if config.descriptors == "per_process":
        release(contrast)  # gradients kept as factors are of one descriptor
    start = resume(run, contrast, optimiser, fabric)
    model, optimiser = fabric.setup(contrast, optimiser)
    finite = FiniteSteps(
        config.not_finite, config.skip_limit, contrast, fabric, partial(where, bank, run)
    )
    log = MetricsLog(run, start) if fabric.is_global_zero else None
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    total = config.batch_size * fabric.world_size
    own = own_rows(config.batch_size, fabric)

    def read(step: int) -> Tensor:
        # Drawn for the clips of all processes: the same however many share them. (0 was a rank.)
        batch = batch_indices(len(clips), total, seed, step)
        return clips.batch(batch, generator(seed, "crops", step, 0), own)

    batches = ahead(read, range(start, config.steps), config.read_ahead)
    for step in range(start, config.steps):
        began = time.perf_counter()
        lr = set_learning_rate(optimiser, config, step)
        descriptor = draw_corner(bank, config, seed, step, fabric.global_rank)
        on_device = descriptor.to(fabric.device)
        x = fabric.to_device(pinned(next(batches), fabric.device))
        with torch.no_grad():
            views, params = bank.views(
                x,
                descriptor,
                generator(seed, "views", step, 0),
                tracked=penalty.active(descriptor),
                total=total,
                own=own,
            )
            if config.predict == Equivariance.kind:
                views = (*views, bank.plain(x))
        keyed = generator(seed, "penalty", step)
        draws = penalty.draw(params[0], descriptor, keyed, total=total, own=own)
        finite.remember()
        with seeded(seed, "network", step, fabric.global_rank):  # of dropout
            outputs, further = model(views, params, on_device, draws)
        projections = [compared(z, config, fabric) for z in outputs]
        further = {name: gather(value[None], fabric).mean() for name, value in further.items()}
        loss = contrast.loss(projections, on_device) + weighted(
            further, config.predict_weight, config.penalty, config.penalty_clamp
        )
        mean_loss = float(mean_over_processes(loss, fabric))

        done = step + 1
        if finite.loss(mean_loss, step, descriptor):
            optimiser.zero_grad()
            fabric.backward(loss, inputs=trained)  # not to the parameters of view 1
            if finite.gradient(step, descriptor):
                optimiser.step()
                contrast.after_step(projections, on_device, done / config.steps)

        last = done == config.steps
        logged = done % config.log_every == 0 or last
        stopping = any_process(stop(), fabric) and not last
        if logged and config.log_gradient_norm:
            further["gradient_norm"] = finite.gradient_norm()
        if logged and log:
            log.write(done, mean_loss, lr, descriptor, time.perf_counter() - began, further)
        if done % config.checkpoint_every == 0 or last or stopping:
            finite.weights(step, descriptor)
            if fabric.is_global_zero:
                state = training_state(model, optimiser, done, fabric)
                save_checkpoint(run / "checkpoints", done, state, config.keep_checkpoints)
        progress(done, mean_loss, lr)
        if stopping:
            fabric.barrier()  # until the checkpoint is there
            raise Stopped(f"stopped after step {done} of {config.steps}, which is written")
    release(encoder)
    return encoder.eval()


def compared(projection: Tensor, config: PretrainConfig, fabric: Fabric) -> Tensor:
    """What a process contrasts, in float32 or wider: all processes' examples, or its own."""
    wide = projection.to(torch.promote_types(projection.dtype, torch.float32))
    return wide if config.descriptors == "per_process" else gather(wide, fabric)


def make_contrast(
    encoder: AmortisedEncoder, bank: AugmentationBank, config: PretrainConfig, seed: int
) -> SimCLR | MoCoV2 | MoCoV3:
    """What `config.objective` trains around `encoder`."""
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
            return MoCoV3(encoder, projector, head, tau, config.momentum)
        if config.objective == "simclr":
            predictor: Any = ParameterPredictor(bank, encoder.dim, width, config.predict)
            if config.predict == Equivariance.kind:
                own = (config.predict_weight, config.predict_temperature)
                predictor = Equivariance(bank, encoder.dim, width, dim, *own)
            return SimCLR(encoder, projector, predictor, tau, config.penalty_longest)
    corners = trained_corners(bank.space, config.corners)
    queue = Queue(corners, config.queue_size, projector.dim, generator(seed, "queue"))
    return MoCoV2(encoder, projector, queue, tau, config.momentum)
