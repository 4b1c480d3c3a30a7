"""SimCLR under a descriptor: the pre-training loop, top to bottom.

Each step draws one corner from the allowed list, makes two views of a batch under it, and pulls the
projections of the two views together; the encoder is conditioned on that corner.
Every random draw is keyed by (seed, purpose, step), so a run that was killed and resumed ends with
the weights of one that never stopped.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import timm.optim
import torch
from lightning.fabric import Fabric
from lightning.fabric.loggers import TensorBoardLogger
from torch import Tensor, nn

from audioinv.core.auxiliary import ParameterPredictor
from audioinv.core.bank import AugmentationBank, ViewParameters, Views
from audioinv.core.checkpoint import load_latest, save_checkpoint
from audioinv.core.descriptor import flip
from audioinv.core.encoder import AmortisedEncoder
from audioinv.core.errors import UserError
from audioinv.core.files import write_text
from audioinv.core.objectives import nt_xent
from audioinv.core.projector import Projector
from audioinv.core.randomness import generator, seeded


@dataclass
class PretrainConfig:
    """How long, how fast, and with what loss to pre-train.

    Args:
        steps, batch_size, warmup_steps: counts. lr: peak learning rate.
        optimiser: "adamw" (fused) or "lars".
        temperature: of NT-Xent. projector: shared, per_descriptor or conditioned.
        corners: "space" draws among the space's allowed corners; "leave_one_out" among all-on and
            those with one component off; "all" (plain SimCLR's all-on) or any corner in the
            notation of `DescriptorSpace.parse` trains that one only.
        predict, predict_weight: a second loss on the views' parameters, and its weight: "none",
            "differences" (AugSelf) or "applied" (MT-SLVR).
        checkpoint_every, log_every: steps.
    """

    steps: int = 1000
    batch_size: int = 128
    lr: float = 1e-3
    weight_decay: float = 1e-4
    warmup_steps: int = 50
    optimiser: str = "adamw"
    temperature: float = 0.2
    projector: str = "shared"
    projector_hidden: int = 256
    projector_dim: int = 128
    corners: str = "space"
    predict: str = "none"
    predict_weight: float = 1.0
    checkpoint_every: int = 200
    log_every: int = 10


class ClipSource(Protocol):
    """Training examples: how many, and a batch of them by index."""

    def __len__(self) -> int: ...

    def batch(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        """The examples (B, ...) at `indices` (B,); `generator` decides crops."""
        ...


class ContrastiveModel(nn.Module):
    """Encoder, projector and parameter predictor, run on both views at once."""

    def __init__(
        self, encoder: AmortisedEncoder, projector: Projector, predictor: ParameterPredictor
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.projector = projector
        self.predictor = predictor

    def forward(
        self, views: Views, params: ViewParameters, descriptor: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Projections (B, dim) of two views under one descriptor (K,), and the second loss."""
        features = self.encoder(torch.cat(views), descriptor)
        a, b = self.projector(features, descriptor).chunk(2)
        first, second = features.chunk(2)
        return a, b, self.predictor((first, second), params)


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
    space = bank.space
    with seeded(seed, "projector"):
        projector = Projector(
            space, encoder.dim, config.projector_hidden, config.projector_dim, config.projector
        )
        predictor = ParameterPredictor(bank, encoder.dim, config.projector_hidden, config.predict)
    model = ContrastiveModel(encoder, projector, predictor)
    optimiser = make_optimiser(model, config)
    start = resume(run, model, optimiser)
    model, optimiser = fabric.setup(model, optimiser)
    log = MetricsLog(run, start) if fabric.is_global_zero else None
    model.train()

    for step in range(start, config.steps):
        began = time.perf_counter()
        lr = set_learning_rate(optimiser, config, step)
        descriptor = draw_corner(bank, config, seed, step)
        x = clips.batch(
            batch_indices(len(clips), config.batch_size, seed, step, fabric),
            generator(seed, "crops", step, fabric.global_rank),
        )
        with torch.no_grad():
            views, params = bank.views(
                fabric.to_device(x), descriptor, generator(seed, "views", step, fabric.global_rank)
            )
        a, b, second_loss = model(views, params, descriptor.to(fabric.device))
        a, b = gather(a.float(), fabric), gather(b.float(), fabric)
        loss = nt_xent(a, b, config.temperature)
        loss = loss + config.predict_weight * second_loss
        stop_unless_finite(loss, step, descriptor, bank, run)

        optimiser.zero_grad()
        fabric.backward(loss)
        optimiser.step()

        done = step + 1
        if log and (done % config.log_every == 0 or done == config.steps):
            log.write(done, loss.item(), lr, descriptor, time.perf_counter() - began)
        if fabric.is_global_zero and (done % config.checkpoint_every == 0 or done == config.steps):
            save_checkpoint(run / "checkpoints", done, training_state(model, optimiser, done))
        progress(done, loss.item(), lr)
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


def draw_corner(bank: AugmentationBank, config: PretrainConfig, seed: int, step: int) -> Tensor:
    """The descriptor (K,) of a step: the same on every process."""
    draw = generator(seed, "descriptor", step)
    if config.corners == "space":
        return bank.space.sample(draw)
    if config.corners == "leave_one_out":
        component = int(torch.randint(bank.space.size + 1, (), generator=draw))
        all_on = bank.space.all_on()
        return all_on if component == bank.space.size else flip(all_on, component)
    return bank.space.parse(config.corners)


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


def make_optimiser(model: nn.Module, config: PretrainConfig) -> torch.optim.Optimizer:
    """AdamW (fused) or LARS over weights with decay and vectors (biases, norms) without."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr, fused=True)
    if config.optimiser == "lars":
        return timm.optim.Lars(groups, lr=config.lr, momentum=0.9)
    raise UserError(f"pretrain.optimiser is '{config.optimiser}'; give adamw or lars")


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

    def write(self, step: int, loss: float, lr: float, descriptor: Tensor, seconds: float) -> None:
        """Appends one line and one TensorBoard point."""
        row = {
            "step": step,
            "loss": loss,
            "lr": lr,
            "descriptor": [int(v) for v in descriptor.tolist()],
            "seconds": round(seconds, 4),
        }
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        try:
            self.board.log_metrics({"loss": loss, "lr": lr}, step)
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
