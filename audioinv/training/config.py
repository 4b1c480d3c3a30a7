"""Settings of pre-training."""

from __future__ import annotations

import math
from dataclasses import dataclass

from audioinv.base.errors import UserError
from audioinv.base.near import unknown

HARMLESS = ("keep_checkpoints", "read_ahead")
"""Settings that may differ when a run goes on: they change nothing that it computes."""
SCHEDULES = ("cosine_after_warmup", "cosine_from_start")


@dataclass
class PretrainConfig:
    """How long, how fast, and with what loss to pre-train.

    Args:
        steps: of the optimiser. batch_size: clips of a batch, of each process.
        accumulate: batches whose mean gradient makes a step, all at its corner. A contrastive loss
            contrasts within each batch, so this is not one large batch: it has as many negatives as
            a small one, and less noise.
        lr: peak learning rate.
        lr_per_256: whether lr is that of a step of 256 clips, and grows with those that a step has,
            of all processes and accumulated batches (Goyal et al., 2017; SimCLR).
        clip_gradient: Euclidean norm that the gradient of all weights together is scaled down to;
            0 is off.
        ema: decay, below 1, of an exponential moving average of the encoder, which is then what is
            saved; 0 is off. weight_decay: of weights; norms and biases have none.
        warmup_steps: over which the learning rate rises.
        schedule: its half cosine to zero is over the steps after the warm-up (cosine_after_warmup),
            or over all of them, the warm-up then bounding it (cosine_from_start: InvCLR's, which
            never quite reaches the peak).
        optimiser: "adamw", "adam", "sgd" (momentum 0.9) or "lars".
        objective: "simclr", "moco_v2" or "moco_v3". temperature: of its loss.
        loss_chunk: views that simclr's loss compares with all others at a time; what it needs of
            memory then grows with the batch and not with its square. 0 takes all at once.
        momentum: of MoCo's copy of the network; with moco_v3 it rises to 1.
        queue_size: keys a corner, of moco_v2; a multiple of the batch over all processes.
        projector: none, shared, per_descriptor, conditioned, or parameters (CASSLE).
        projector_layers: linear layers; MoCo-v3 has 3 on a ViT.
        projector_hidden: units of its hidden layers. projector_dim: units of its output.
        projector_norm: end in a BatchNorm without scale and offset, as InvCLR's critic; with
            moco_v3 it always does.
        projector_batch_norm: a BatchNorm between layers; MoCo-v2 has none.
        dropout: share of the features that the projector does not see, drawn for each process.
        corners: "space" draws among the space's allowed corners; "leave_one_out" among all-on and
            those with one component off; "all" (plain SimCLR's all-on) or any corner in the
            notation of `DescriptorSpace.parse` trains that one only.
        corner_weights: "uniform", or "ends" for every number of active components as often as any
            other: a corner with m of K counts 1 / C(K, m), so those at the ends come more often.
        groups: of equal size that a batch is cut into, each with a corner of its own, which is
            contrasted and normalised by itself; needs objective=simclr or moco_v3.
        twins: fraction of a batch, up to 0.5, that where a component is off are second copies of
            other clips of it, with other shared parameters (`AugmentationBank.with_twins`), and so
            negatives that differ in what is off alone; needs bank.inactive=shared. 0 is off.
        predict: a second loss on the views' parameters: "none", "differences" (AugSelf), "applied"
            (MT-SLVR) or "embeddings" (EquiMod). predict_weight: of that loss.
        predict_temperature: of EquiMod's loss.
        penalty: lambda of InvCLR's gradient penalty (`core.penalty`); 0 is off.
        penalty_draws: fresh parameters an example.
        penalty_clamp: what the penalty counts at most, as published.
        penalty_longest: what each draw counts at most; not in the paper.
        penalty_on: the augmentations to penalise; null takes those whose gradient tells what a draw
            does.
        descriptors: "same" gives all processes one corner a step; "per_process" draws one for
            each, which then contrasts within its own clips.
        sync_batch_norm: normalise by statistics of the clips of all processes.
        not_finite: what a loss or gradient that is not finite does: "stop", or "skip" the step.
        skip_limit: how many steps in a row may be skipped.
        read_ahead: batches that are read before they are needed, by as many threads.
        checkpoint_every: steps from one checkpoint to the next.
        keep_checkpoints: how many of the newest stay.
        log_every: steps from one line of metrics.jsonl to the next.
        log_gradient_norm: whether these lines have the gradient's norm.
        calibration_clips: training clips from which the normalisation statistics of every corner
            are computed at the end; 0 keeps the running ones of training.
    """

    steps: int = 1000
    batch_size: int = 128
    accumulate: int = 1
    lr: float = 2e-3
    lr_per_256: bool = False
    clip_gradient: float = 0.0
    ema: float = 0.0
    weight_decay: float = 1e-4
    warmup_steps: int = 50
    schedule: str = "cosine_after_warmup"
    optimiser: str = "adamw"
    objective: str = "simclr"
    temperature: float = 0.2
    loss_chunk: int = 0
    momentum: float = 0.99
    queue_size: int = 65536
    projector: str = "shared"
    projector_layers: int = 2
    projector_hidden: int = 256
    projector_dim: int = 128
    projector_norm: bool = False
    projector_batch_norm: bool = True
    dropout: float = 0.0
    corners: str = "space"
    corner_weights: str = "uniform"
    groups: int = 1
    twins: float = 0.0
    predict: str = "none"
    predict_weight: float = 1.0
    predict_temperature: float = 0.2
    penalty: float = 0.0
    penalty_draws: int = 100
    penalty_clamp: float = 1.0
    penalty_longest: float = math.inf
    penalty_on: list[str] | None = None
    descriptors: str = "same"
    sync_batch_norm: bool = False
    not_finite: str = "stop"
    skip_limit: int = 10
    read_ahead: int = 0
    checkpoint_every: int = 200
    keep_checkpoints: int = 2
    log_every: int = 10
    log_gradient_norm: bool = False
    calibration_clips: int = 512


@dataclass
class MonitorConfig:
    """What is looked at while a run trains; it changes nothing that the run computes.

    Args:
        every: steps from one look to the next; 0 is off, and null as often as costs one in forty
            of the passes through the network.
        clips: that are looked at, always the same: of the validation part, or else of those trained
            on.
        k: neighbours that vote in its kNN accuracy.
    """

    every: int | None = None
    clips: int = 128
    k: int = 10


@dataclass
class LogConfig:
    """Where the figures of a run go, beside metrics.jsonl and monitor.jsonl.

    Args:
        to: tensorboard, wandb, mlflow, trackio or none. project: what the run is part of there;
            mlflow calls it an experiment.
    """

    to: str = "tensorboard"
    project: str = "audioinv"


OBJECTIVES = ("simclr", "moco_v2", "moco_v3")
CORNER_WEIGHTS = ("uniform", "ends")
DESCRIPTORS = ("same", "per_process")


def check(config: PretrainConfig, n_clips: int, processes: int = 1) -> None:
    """Raises a UserError for settings that cannot work."""
    lowest = {"steps": 0, "batch_size": 2, "warmup_steps": 0, "skip_limit": 1, "read_ahead": 0}
    lowest |= {"calibration_clips": 0, "accumulate": 1, "loss_chunk": 0, "groups": 1}
    every = {"checkpoint_every": 1, "keep_checkpoints": 1, "log_every": 1}
    for name, least in {**lowest, **every}.items():
        if getattr(config, name) < least:
            raise UserError(f"pretrain.{name} is {getattr(config, name)}; give {least} or more")
    if not 0 < config.lr < math.inf:
        raise UserError(f"pretrain.lr is {config.lr}; give a number above 0")
    if not 0 <= config.clip_gradient < math.inf:
        given = config.clip_gradient
        raise UserError(f"pretrain.clip_gradient is {given}; give a norm above 0, or 0 for none")
    if not 0 <= config.ema < 1:
        raise UserError(f"pretrain.ema is {config.ema}; give a decay below 1, or 0 for none")
    if config.schedule not in SCHEDULES:
        raise unknown("pretrain.schedule", config.schedule, SCHEDULES)
    total = config.batch_size * processes
    if n_clips < total:
        none = "all are in the test part; mark some train in the manifest's split, and pack again"
        remedy = "lower pretrain.batch_size" if n_clips else none
        raise UserError(f"{n_clips} training clips cannot fill a batch of {total}; {remedy}")
    if config.descriptors not in DESCRIPTORS:
        raise unknown("pretrain.descriptors", config.descriptors, DESCRIPTORS)
    check_corners(config)
    check_objective(config, total)


def check_monitor(config: MonitorConfig) -> None:
    """Raises a UserError for a monitor that cannot work."""
    if config.every is not None and config.every < 0:
        raise UserError(f"monitor.every is {config.every}; give steps, 0 for off, or null")
    if config.clips < 2 or config.k < 1:
        raise UserError(
            f"monitor.clips is {config.clips} and monitor.k {config.k}; give 2 clips or more, and "
            "1 neighbour or more"
        )


def check_corners(config: PretrainConfig) -> None:
    """Raises a UserError for a choice of corners that cannot work."""
    if config.corner_weights not in CORNER_WEIGHTS:
        raise unknown("pretrain.corner_weights", config.corner_weights, CORNER_WEIGHTS)
    if config.batch_size % config.groups or config.batch_size < 2 * config.groups:
        raise UserError(
            f"pretrain.groups is {config.groups} and cannot cut a batch of {config.batch_size} into"
            " equal groups of 2 or more; give a divisor, at most half of it"
        )
    if config.groups > 1 and config.objective == "moco_v2":
        raise UserError(
            f"pretrain.groups is {config.groups}; a step of moco_v2 fills the queue of one corner: "
            "give groups=1, or another objective"
        )
    if config.descriptors == "per_process" and config.twins:
        raise UserError(
            f"pretrain.twins is {config.twins}; a clip and its twin may be of two processes, which "
            "descriptors=per_process keeps apart: give descriptors=same"
        )


def check_objective(config: PretrainConfig, total: int) -> None:
    """Raises a UserError for an objective that cannot work with batches of `total` clips."""
    if config.objective not in OBJECTIVES:
        raise unknown("pretrain.objective", config.objective, OBJECTIVES)
    mixing = config.sync_batch_norm or config.objective == "moco_v2"
    if config.descriptors == "per_process" and mixing:
        raise UserError(
            "pretrain.descriptors=per_process keeps corners apart; sync_batch_norm and moco_v2's "
            "queues would join them: give descriptors=same"
        )
    if config.objective == "simclr":
        return
    if config.loss_chunk:
        raise UserError(f"pretrain.loss_chunk is {config.loss_chunk}; it needs objective=simclr")
    if config.objective == "moco_v2" and config.accumulate > 1:
        raise UserError(
            f"pretrain.accumulate is {config.accumulate}; moco_v2 takes its negatives from a queue "
            "and needs no large batch: give accumulate=1, or another objective"
        )
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
