"""Contrastive learning under a descriptor: the pre-training loop, top to bottom.

Each step draws one corner from the allowed list, makes two views of a batch under it, and pulls the
projections of the two views together; the encoder is conditioned on that corner. What is contrasted
with what (SimCLR, MoCo-v2, MoCo-v3) is in `contrast`.
Every random draw is keyed by (seed, purpose, step), so a run that was killed and resumed ends with
the weights of one that never stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Protocol

import timm.optim
import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from audioinv.core.ahead import ahead
from audioinv.core.auxiliary import Equivariance, ParameterPredictor, described_size
from audioinv.core.bank import ALL, AugmentationBank
from audioinv.core.checkpoint import save_checkpoint
from audioinv.core.contrast import MoCoV2, MoCoV3, Queue, SimCLR, weighted
from audioinv.core.descriptor import DescriptorSpace, flip
from audioinv.core.distributed import (
    any_process,
    gather,
    mean_over_processes,
    own_rows,
    pinned,
    synchronise_norms,
)
from audioinv.core.encoder import AmortisedEncoder
from audioinv.core.errors import UserError
from audioinv.core.finite import FiniteSteps
from audioinv.core.metrics_log import MetricsLog
from audioinv.core.penalty import PenaltySampler
from audioinv.core.projector import Projector
from audioinv.core.randomness import generator, seeded
from audioinv.core.rank_one import RankOneAdam, release
from audioinv.core.resume import resume, training_state, where
from audioinv.core.settings.pretrain import PretrainConfig
from audioinv.core.signals import Stopped

OBJECTIVES = ("simclr", "moco_v2", "moco_v3")
SCHEDULES = ("cosine_after_warmup", "cosine_from_start")


class ClipSource(Protocol):
    """Training examples: how many, and a batch of them by index."""

    def __len__(self) -> int: ...

    def batch(self, indices: Tensor, generator: torch.Generator, own: slice = ALL) -> Tensor:
        """The examples (B, ...) at `indices[own]`; `generator` decides crops.

        It is drawn from for all of `indices`, so that a clip's crop does not depend on how many
        processes share a batch.
        """
        ...


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


def check(config: PretrainConfig, n_clips: int, processes: int = 1) -> None:
    """Raises a UserError for settings that cannot work."""
    lowest = {"steps": 0, "batch_size": 2, "warmup_steps": 0, "skip_limit": 1, "read_ahead": 0}
    every = {"checkpoint_every": 1, "keep_checkpoints": 1, "log_every": 1}
    for name, least in {**lowest, **every}.items():
        if getattr(config, name) < least:
            raise UserError(f"pretrain.{name} is {getattr(config, name)}; give {least} or more")
    if not 0 < config.lr < math.inf:
        raise UserError(f"pretrain.lr is {config.lr}; give a number above 0")
    if config.schedule not in SCHEDULES:
        raise UserError(
            f"pretrain.schedule is '{config.schedule}'; give one of {', '.join(SCHEDULES)}"
        )
    total = config.batch_size * processes
    if n_clips < total:
        raise UserError(
            f"{n_clips} training clips cannot fill a batch of {total}; lower pretrain.batch_size"
        )
    if config.descriptors not in ("same", "per_process"):
        raise UserError(f"pretrain.descriptors is '{config.descriptors}'; give same or per_process")
    check_objective(config, total)


def check_objective(config: PretrainConfig, total: int) -> None:
    """Raises a UserError for an objective that cannot work with batches of `total` clips."""
    if config.objective not in OBJECTIVES:
        raise UserError(
            f"pretrain.objective is '{config.objective}'; give one of {', '.join(OBJECTIVES)}"
        )
    mixing = config.sync_batch_norm or config.objective == "moco_v2"
    if config.descriptors == "per_process" and mixing:
        raise UserError(
            "pretrain.descriptors=per_process keeps corners apart; sync_batch_norm and moco_v2's "
            "queues would join them: give descriptors=same"
        )
    if config.objective == "simclr":
        return
    if not 0 <= config.momentum <= 1:
        raise UserError(f"pretrain.momentum is {config.momentum}; give a value in [0, 1]")
    if config.projector == "parameters":
        raise UserError("pretrain.projector is 'parameters'; it needs objective=simclr")
    if config.predict != "none" or config.penalty:
        which = "penalty" if config.penalty else "predict"
        raise UserError(
            f"pretrain.{which} is {getattr(config, which)!r}; it needs objective=simclr"
        )
    size = config.queue_size
    if config.objective == "moco_v2" and (size < total or size % total):
        raise UserError(
            f"pretrain.queue_size is {size}; give a multiple of the {total} clips of a batch"
        )


def trained_corners(space: DescriptorSpace, corners: str) -> Tensor:
    """The corners (C, K) that `PretrainConfig.corners` stands for."""
    if corners == "space":
        return space.corners
    if corners == "leave_one_out":
        all_on = space.all_on()
        return torch.stack([*(flip(all_on, k) for k in range(space.size)), all_on])
    return space.parse(corners)[None]


def draw_corner(
    bank: AugmentationBank, config: PretrainConfig, seed: int, step: int, rank: int = 0
) -> Tensor:
    """The descriptor (K,) of a step: the same on every process, or one for each."""
    corners = trained_corners(bank.space, config.corners)
    key = [step] if config.descriptors == "same" or rank == 0 else [step, rank]
    draw = generator(seed, "descriptor", *key)
    return corners[int(torch.randint(len(corners), (), generator=draw))]


def batch_indices(n: int, total: int, seed: int, step: int) -> Tensor:
    """The `total` clips of a step, over all processes: slices of a permutation of each epoch.

    What is left over at the end of an epoch is less than a batch, and waits for another epoch.
    """
    per_epoch = max(n // total, 1)
    order = epoch_order(n, seed, step // per_epoch)
    begin = (step % per_epoch) * total
    return order[begin : begin + total]


@lru_cache(maxsize=1)
def epoch_order(n: int, seed: int, epoch: int) -> Tensor:
    """All clips in the order of an epoch; kept, since drawing a million takes 20 ms."""
    return torch.randperm(n, generator=generator(seed, "order", epoch))


def learning_rate(config: PretrainConfig, step: int) -> float:
    """Linear warm-up, and a half cosine that reaches zero when the last step is done.

    The cosine begins where the warm-up ends, or with the run: the lower of the two counts then.
    """
    if config.schedule == "cosine_from_start":
        warm = (step + 1) / max(config.warmup_steps, 1)
        return config.lr * min(warm, 0.5 * (1 + math.cos(math.pi * step / config.steps)))
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    passed = (step - config.warmup_steps) / max(config.steps - config.warmup_steps, 1)
    return config.lr * 0.5 * (1 + math.cos(math.pi * passed))


def set_learning_rate(optimiser: Any, config: PretrainConfig, step: int) -> float:
    """Sets and returns the learning rate of a step."""
    lr = learning_rate(config, step)
    for group in optimiser.param_groups:
        group["lr"] = lr
    return lr


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


def make_optimiser(model: nn.Module, config: PretrainConfig) -> torch.optim.Optimizer:
    """The optimiser over weights with decay and vectors (biases, norms) without.

    "adam" adds the decay to the gradient (L2, as the paper); "adamw" decays the weights themselves.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    makers: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adamw": partial(RankOneAdam, decoupled_weight_decay=True),
        "adam": RankOneAdam,
        "sgd": partial(torch.optim.SGD, momentum=0.9),  # fused fails where a head gets no gradient
        "lars": partial(timm.optim.Lars, momentum=0.9),
    }
    if config.optimiser not in makers:
        raise UserError(
            f"pretrain.optimiser is '{config.optimiser}'; give one of {', '.join(makers)}"
        )
    return makers[config.optimiser](groups, lr=config.lr)
