"""Contrastive learning under a descriptor: the pre-training loop, top to bottom.

Each step draws one corner from the allowed list, makes two views of a batch under it, and pulls the
projections of the two views together; the encoder is conditioned on that corner. What is contrasted
with what (SimCLR, MoCo-v2, MoCo-v3) is in `contrast`.
Every random draw is keyed by (seed, purpose, step), so a run that was killed and resumed ends with
the weights of one that never stopped.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, cast

import timm.optim
import torch
from lightning.fabric import Fabric
from lightning.fabric.loggers import TensorBoardLogger
from torch import Tensor, nn

from audioinv.core.auxiliary import ParameterPredictor
from audioinv.core.bank import AugmentationBank
from audioinv.core.checkpoint import load_latest, save_checkpoint
from audioinv.core.contrast import MoCoV2, MoCoV3, Queue, SimCLR, weighted
from audioinv.core.descriptor import DescriptorSpace, flip
from audioinv.core.encoder import AmortisedEncoder
from audioinv.core.errors import UserError
from audioinv.core.files import write_text
from audioinv.core.penalty import PenaltySampler
from audioinv.core.projector import Projector
from audioinv.core.randomness import generator, seeded
from audioinv.core.rank_one import RankOneAdam, release

OBJECTIVES = ("simclr", "moco_v2", "moco_v3")


@dataclass
class PretrainConfig:
    """How long, how fast, and with what loss to pre-train.

    Args:
        steps, batch_size, warmup_steps: counts. lr: peak learning rate.
        optimiser: "adamw", "adam", "sgd" (momentum 0.9) or "lars".
        objective: "simclr", "moco_v2" or "moco_v3". temperature: of its loss.
        momentum: of MoCo's copy of the network; with moco_v3 it rises to 1.
        queue_size: keys a corner, of moco_v2; a multiple of the batch over all processes.
        projector: none, shared, per_descriptor or conditioned.
        projector_layers: linear layers; MoCo-v3 has 3 on a ViT. projector_norm: end in a BatchNorm
            without scale and offset, as InvCLR's critic; with moco_v3 it always does.
        corners: "space" draws among the space's allowed corners; "leave_one_out" among all-on and
            those with one component off; "all" (plain SimCLR's all-on) or any corner in the
            notation of `DescriptorSpace.parse` trains that one only.
        predict, predict_weight: a second loss on the views' parameters, and its weight: "none",
            "differences" (AugSelf) or "applied" (MT-SLVR).
        penalty: lambda of InvCLR's gradient penalty (`core.penalty`); 0 is off. penalty_draws:
            fresh parameters an example. penalty_clamp: what it counts at most, as published.
            penalty_longest: what each draw counts at most; not in the paper. penalty_on: the
            augmentations to penalise; null takes those whose gradient tells what a draw does.
        checkpoint_every, log_every: steps.
    """

    steps: int = 1000
    batch_size: int = 128
    lr: float = 1e-3
    weight_decay: float = 1e-4
    warmup_steps: int = 50
    optimiser: str = "adamw"
    objective: str = "simclr"
    temperature: float = 0.2
    momentum: float = 0.99
    queue_size: int = 65536
    projector: str = "shared"
    projector_layers: int = 2
    projector_hidden: int = 256
    projector_dim: int = 128
    projector_norm: bool = False
    corners: str = "space"
    predict: str = "none"
    predict_weight: float = 1.0
    penalty: float = 0.0
    penalty_draws: int = 100
    penalty_clamp: float = 1.0
    penalty_longest: float = math.inf
    penalty_on: list[str] | None = None
    checkpoint_every: int = 200
    log_every: int = 10


class ClipSource(Protocol):
    """Training examples: how many, and a batch of them by index."""

    def __len__(self) -> int: ...

    def batch(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        """The examples (B, ...) at `indices` (B,); `generator` decides crops."""
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
) -> AmortisedEncoder:
    """Trains `encoder` in place and returns it; resumes from `run`/checkpoints if there are any.

    Args:
        run: gets metrics.jsonl, tensorboard/ and checkpoints/.
        progress: called after every step with (steps done, loss, learning rate).

    Raises:
        UserError: a setting out of range, too few clips, or a loss that is not finite.
    """
    check(config, len(clips), fabric.world_size)
    contrast = make_contrast(encoder, bank, config, seed)
    penalty = PenaltySampler(
        bank, encoder.dim, config.penalty, config.penalty_draws, config.penalty_on
    )
    optimiser = make_optimiser(contrast, config)
    start = resume(run, contrast, optimiser)
    model, optimiser = fabric.setup(contrast, optimiser)
    log = MetricsLog(run, start) if fabric.is_global_zero else None
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]

    for step in range(start, config.steps):
        began = time.perf_counter()
        lr = set_learning_rate(optimiser, config, step)
        descriptor = draw_corner(bank, config, seed, step)
        on_device = descriptor.to(fabric.device)
        x = clips.batch(
            batch_indices(len(clips), config.batch_size, seed, step, fabric),
            generator(seed, "crops", step, fabric.global_rank),
        )
        with torch.no_grad():
            views, params = bank.views(
                fabric.to_device(x),
                descriptor,
                generator(seed, "views", step, fabric.global_rank),
                tracked=penalty.active(descriptor),
            )
        draws = penalty.draw(
            params[0], descriptor, generator(seed, "penalty", step, fabric.global_rank)
        )
        own, further = model(views, params, on_device, draws)
        projections = [gather(projection.float(), fabric) for projection in own]
        further = {name: gather(value[None], fabric).mean() for name, value in further.items()}
        loss = contrast.loss(projections, on_device) + weighted(
            further, config.predict_weight, config.penalty, config.penalty_clamp
        )
        stop_unless_finite(loss, step, descriptor, bank, run)

        optimiser.zero_grad()
        fabric.backward(loss, inputs=trained)  # not to the parameters of view 1
        optimiser.step()

        done = step + 1
        contrast.after_step(projections, on_device, done / config.steps)
        if log and (done % config.log_every == 0 or done == config.steps):
            log.write(done, loss.item(), lr, descriptor, time.perf_counter() - began, further)
        if fabric.is_global_zero and (done % config.checkpoint_every == 0 or done == config.steps):
            save_checkpoint(run / "checkpoints", done, training_state(model, optimiser, done))
        progress(done, loss.item(), lr)
    release(encoder)
    return encoder.eval()


def gather(x: Tensor, fabric: Fabric) -> Tensor:
    """The examples (B, d) of every process, (W B, d), in the order of ranks.

    The gradient of a loss over all of them, computed on every process, flows back to the process
    that an example came from; the mean that DDP takes over processes then makes it that of one
    process with the joined batch, neither W times it nor a W-th.
    """
    if fabric.world_size == 1:
        return x
    return cast(Tensor, fabric.all_gather(x, sync_grads=True)).flatten(0, 1)


def check(config: PretrainConfig, n_clips: int, processes: int = 1) -> None:
    """Raises a UserError for settings that cannot work."""
    lowest = {"steps": 0, "batch_size": 2, "warmup_steps": 0, "checkpoint_every": 1, "log_every": 1}
    for name, least in lowest.items():
        if getattr(config, name) < least:
            raise UserError(f"pretrain.{name} is {getattr(config, name)}; give {least} or more")
    if not 0 < config.lr < math.inf:
        raise UserError(f"pretrain.lr is {config.lr}; give a number above 0")
    total = config.batch_size * processes
    if n_clips < total:
        raise UserError(
            f"{n_clips} training clips cannot fill a batch of {total}; lower pretrain.batch_size"
        )
    check_objective(config, total)


def check_objective(config: PretrainConfig, total: int) -> None:
    """Raises a UserError for an objective that cannot work with batches of `total` clips."""
    if config.objective not in OBJECTIVES:
        raise UserError(
            f"pretrain.objective is '{config.objective}'; give one of {', '.join(OBJECTIVES)}"
        )
    if config.objective == "simclr":
        return
    if not 0 <= config.momentum <= 1:
        raise UserError(f"pretrain.momentum is {config.momentum}; give a value in [0, 1]")
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


def draw_corner(bank: AugmentationBank, config: PretrainConfig, seed: int, step: int) -> Tensor:
    """The descriptor (K,) of a step: the same on every process."""
    corners = trained_corners(bank.space, config.corners)
    draw = generator(seed, "descriptor", step)
    return corners[int(torch.randint(len(corners), (), generator=draw))]


def batch_indices(n: int, batch_size: int, seed: int, step: int, fabric: Fabric) -> Tensor:
    """Clips of this process at a step: slices of a permutation redrawn each epoch."""
    total = batch_size * fabric.world_size
    per_epoch = max(n // total, 1)
    order = torch.randperm(n, generator=generator(seed, "order", step // per_epoch))
    begin = (step % per_epoch) * total + fabric.global_rank * batch_size
    return order[begin : begin + batch_size]


def learning_rate(config: PretrainConfig, step: int) -> float:
    """Linear warm-up, then a half cosine that reaches zero when the last step is done."""
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
        projector = Projector(bank.space, encoder.dim, width, dim, kind, layers, last_norm)
        if v3:
            head = Projector(bank.space, projector.dim, width, dim, kind, last_norm=True)
            return MoCoV3(encoder, projector, head, tau, config.momentum)
        if config.objective == "simclr":
            predictor = ParameterPredictor(bank, encoder.dim, width, config.predict)
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


def training_state(model: nn.Module, optimiser: Any, step: int) -> dict[str, Any]:
    """All that a later process needs to go on."""
    return {"step": step, "model": model.state_dict(), "optimiser": optimiser.state_dict()}


def resume(run: Path, model: nn.Module, optimiser: torch.optim.Optimizer) -> int:
    """Loads the newest checkpoint of `run`, if any; returns the steps already done."""
    found = load_latest(run / "checkpoints")
    if found is None:
        return 0
    path, state = found
    try:
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
    except (KeyError, RuntimeError, ValueError) as error:
        raise UserError(
            f"{path} is of another model: {str(error).splitlines()[0]} Start a new run folder."
        ) from error
    return int(state["step"])


def stop_unless_finite(
    loss: Tensor, step: int, descriptor: Tensor, bank: AugmentationBank, run: Path
) -> None:
    """Raises a UserError with step, descriptor and last checkpoint if the loss is not finite."""
    if torch.isfinite(loss):
        return
    found = load_latest(run / "checkpoints")
    last = found[0] if found else "none was written"
    raise UserError(
        f"the loss is {loss.item()} at step {step} with descriptor {bank.space.label(descriptor)}; "
        f"last checkpoint: {last}. Try a lower pretrain.lr."
    )


class MetricsLog:
    """metrics.jsonl and TensorBoard; on resume, lines after the checkpoint are dropped."""

    def __init__(self, run: Path, start: int) -> None:
        self.path = run / "metrics.jsonl"
        kept = [line for line in _lines(self.path) if _step(line) <= start]
        write_text(self.path, "".join(line + "\n" for line in kept))
        self.board = TensorBoardLogger(root_dir=run, name="tensorboard", version="")

    def write(
        self,
        step: int,
        loss: float,
        lr: float,
        descriptor: Tensor,
        seconds: float,
        further: dict[str, Tensor],
    ) -> None:
        """Appends one line and one TensorBoard point; `further` losses are logged unweighted."""
        also = {name: value.item() for name, value in further.items()}
        row = {
            "step": step,
            "loss": loss,
            **also,
            "lr": lr,
            "descriptor": [int(v) for v in descriptor.tolist()],
            "seconds": round(seconds, 4),
        }
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        try:
            self.board.log_metrics({"loss": loss, **also, "lr": lr}, step)
        except (OSError, ValueError) as error:  # Lightning makes a ValueError of a full disk
            raise UserError(
                f"cannot write to {self.path.parent}; is the disk full? {error.__cause__ or error}"
            ) from error


def _lines(path: Path) -> Iterator[str]:
    if path.exists():
        yield from path.read_text(encoding="utf-8").splitlines()


def _step(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf
