"""One run, however it ends: it resumes, keys its draws, descends, logs, checkpoints and stops."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

import torch
from lightning.fabric import Fabric
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator, seeded
from audioinv.core.bank import ClipSource, Rows, shown_rows
from audioinv.core.bases import keep_apart, release
from audioinv.core.objective import Losses, Objective, Shown
from audioinv.core.precision import wide
from audioinv.training.ahead import ahead
from audioinv.training.average import Average
from audioinv.training.clipping import clip_gradient
from audioinv.training.config import LogConfig, PretrainConfig
from audioinv.training.finite import FiniteSteps
from audioinv.training.log import MetricsLog
from audioinv.training.monitor import Monitor
from audioinv.training.optimiser import make_optimiser, set_learning_rate
from audioinv.training.order import batch_indices, draw_corner
from audioinv.training.processes import (
    any_process,
    gather,
    leave_factors_to_us,
    mean_over_processes,
    own_rows,
    pinned,
    share_first_bases,
    synchronise_norms,
)
from audioinv.training.resume import resume, training_state, where
from audioinv.training.signals import Stopped
from audioinv.training.state import save_checkpoint
from audioinv.training.warned import warnings_in

Watch = Callable[[str], AbstractContextManager[object]]


def unwatched(phase: str) -> AbstractContextManager[object]:
    """No timer."""
    return nullcontext()


class Run:
    """A method on its way to `config.steps` steps; begins at the newest checkpoint of `folder`.

    Args:
        folder: gets metrics.jsonl, monitor.jsonl and checkpoints/, and what `log` says.
        method: what is trained, the encoder in it.
        watch: phase ("data", "augmentation", "backward", "optimiser") -> a context around it.
        average: of the encoder, which it follows. monitor: looks at the encoder now and then.

    Raises:
        UserError: checkpoints that cannot be read or are of another method.
    """

    def __init__(
        self,
        folder: Path,
        method: Objective,
        config: PretrainConfig,
        fabric: Fabric,
        seed: int,
        watch: Watch = unwatched,
        average: Average | None = None,
        monitor: Monitor | None = None,
        log: LogConfig | None = None,
    ) -> None:
        self.folder, self.method, self.config = folder, method, config
        self.fabric, self.seed, self.watch = fabric, seed, watch
        self.parts = config.accumulate * config.groups
        self.total = config.batch_size // config.groups * fabric.world_size
        self.own = own_rows(config.batch_size // config.groups, fabric)
        method.together = self.together
        if config.sync_batch_norm:
            synchronise_norms(method)
        optimiser = make_optimiser(method, config)
        if config.descriptors == "per_process":
            release(method)  # gradients kept as factors are of one descriptor
        leave_factors_to_us(method)
        self.average, self.monitor = average, monitor
        self.model, self.optimiser = fabric.setup(method, optimiser)
        share_first_bases(method, fabric)
        self.start = resume(folder, method, optimiser, fabric, average)  # where weights are now
        explain = partial(where, method.bank, folder)
        self.finite = FiniteSteps(config.not_finite, config.skip_limit, method, fabric, explain)
        to = log or LogConfig()
        self.log = MetricsLog(folder, self.start, to) if fabric.is_global_zero else None
        self.model.train()
        self.trained = [p for p in self.model.parameters() if p.requires_grad]

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        if self.log:
            self.log.end()

    def steps(self, clips: ClipSource) -> Iterator[Step]:
        """The steps that are still to do; their batches are read ahead, if that is asked for."""
        numbers = range(self.start * self.parts, self.config.steps * self.parts)
        batches = ahead(partial(self.read, clips), numbers, self.config.read_ahead)
        for number in range(self.start, self.config.steps):
            yield Step(self, number, batches)

    def read(self, clips: ClipSource, number: int) -> Tensor:
        """This process's clips of a part: of a step's batch, where nothing is accumulated."""
        # Drawn for the clips of all processes: the same however many share them. (0 was a rank.)
        whole, group = divmod(number, self.config.groups)
        batch = batch_indices(len(clips), self.total * self.config.groups, self.seed, whole)
        twins = self.method.bank.twins_of(self.total, self.corner(number))
        own: Rows = self.own
        if twins or group:
            own = group * self.total + shown_rows(self.total, twins)[own]
        return clips.batch(batch, generator(self.seed, "crops", whole, 0), own)

    def corner(self, number: int) -> Tensor:
        """The descriptor (K,) of a part; those of a step that are of one group share it."""
        step, rank = number // self.parts, self.fabric.global_rank
        group = number % self.config.groups
        return draw_corner(self.method.bank, self.config, self.seed, step, rank, group)

    def together(self, x: Tensor) -> Tensor:
        """What a process contrasts (B, d): all processes' examples, or its own."""
        apart = self.config.descriptors == "per_process"
        return wide(x) if apart else gather(wide(x), self.fabric)

    def save(self, done: int) -> None:
        """Writes a checkpoint, on the first process."""
        if self.fabric.is_global_zero:
            state = training_state(self.model, self.optimiser, done, self.fabric, self.average)
            keep = self.config.keep_checkpoints
            save_checkpoint(self.folder / "checkpoints", done, state, keep)


class Step:
    """One step of a run, in the order of its methods.

    Attributes:
        number: from 0. done: steps that are done when it ends.
        part: which of its accumulated batches, or group of one, it is at. loss: the mean over them.
        corner: the descriptor (K,) of that part.
        total, own: clips of the part, of all processes, and which of them this process has.
    """

    def __init__(self, run: Run, number: int, batches: Iterator[Tensor]) -> None:
        self.began = time.perf_counter()
        self.run, self.number, self.batches = run, number, batches
        self.done = number + 1
        self.total, self.own = run.total, run.own
        self.lr = set_learning_rate(run.optimiser, run.config, number)
        self.part, self.loss, self.skipped = 0, 0.0, False
        self.corner = run.corner(self.part_number)
        self.found: list[Losses] = []
        self.norm: Tensor | None = None

    @property
    def part_number(self) -> int:
        """From 0 over all steps: `number`, where a step has one part."""
        return self.number * self.run.parts + self.part

    def parts(self) -> Iterator[int]:
        """The step's batches, or their groups, in turn; none behind one that is not finite."""
        for part in range(self.run.parts):
            self.part = part
            self.corner = self.run.corner(self.part_number)
            if self.skipped:
                next(self.batches)
            else:
                yield part

    def generator(self, purpose: str, *key: int) -> torch.Generator:
        """The generator of one purpose at this part, equal on all processes."""
        return generator(self.run.seed, purpose, self.part_number, *key)

    def batch(self) -> Tensor:
        """This process's clips, on its device."""
        with self.run.watch("data"):
            read = next(self.batches)
        moved: Tensor = self.run.fabric.to_device(pinned(read, self.run.fabric.device))
        return moved

    def views(self, x: Tensor) -> Shown:
        """What the network is shown of clips `x`."""
        with self.run.watch("augmentation"), torch.no_grad():
            return self.run.method.views(x, self.corner, self)

    def losses(self, shown: Shown) -> Losses:
        """The method's losses: of each, the mean over all processes, with gradients to them.

        Raises:
            UserError: the method gives no named losses.
        """
        run = self.run
        if self.part == 0:
            run.finite.remember()
        with seeded(run.seed, "network", self.part_number, run.fabric.global_rank):  # of dropout
            losses = run.model(shown, self.corner)
        if not isinstance(losses, dict) or not losses:
            raise UserError(
                f"{type(run.method).__name__} gives {type(losses).__name__}; its forward must give "
                "a dictionary of losses, name -> scalar, not empty"
            )
        return {name: mean_over_processes(loss, run.fabric) for name, loss in losses.items()}

    def backward(self, losses: Losses) -> None:
        """Adds the gradient of the method's total, over the number of parts.

        Raises:
            UserError: the loss is not finite, and skipping is not allowed or did not help.
        """
        run, parts = self.run, self.run.parts
        total = run.method.total(losses)
        loss = float(total.detach())
        self.loss += loss / parts
        self.found.append({name: part.detach() for name, part in losses.items()})
        self.skipped = not run.finite.loss(loss, self.number, self.corner)
        if self.skipped:
            return
        if self.part == 0:
            run.optimiser.zero_grad()
        with run.watch("backward"):
            run.fabric.backward(total / parts, inputs=run.trained)  # not to those of view 1
        if self.part < parts - 1:
            keep_apart(run.method)

    def descend(self) -> None:
        """One step of the optimiser down the gradient, which method and average then follow.

        Raises:
            UserError: the gradient is not finite, and skipping did not help.
        """
        run = self.run
        if self.skipped or not run.finite.gradient(self.number, self.corner):
            return
        if run.config.clip_gradient:
            self.norm = run.finite.gradient_norm()
            clip_gradient(run.model, self.norm, run.config.clip_gradient)
        with run.watch("optimiser"):
            run.optimiser.step()
        run.method.follow(self.corner, self.done / run.config.steps)
        if run.average:
            run.average.follow(self.number)

    def end(self, progress: Callable[[int, float, float], None], stop: bool) -> None:
        """Logs the step and writes a checkpoint, where they are due.

        Raises:
            UserError: a checkpoint is due and a weight is not finite.
            Stopped: `stop` is true on any process; a checkpoint is written.
        """
        run, config = self.run, self.run.config
        last = self.done == config.steps
        stopping = any_process(stop, run.fabric) and not last
        if self.done % config.log_every == 0 or last:
            self._log()
        if run.monitor and run.monitor.due(self.done):
            self._look(run.monitor)
        if self.done % config.checkpoint_every == 0 or last or stopping:
            run.finite.weights(self.number, self.corner)
            run.save(self.done)
        progress(self.done, self.loss, self.lr)
        if stopping:
            run.fabric.barrier()  # until the checkpoint is there
            raise Stopped(f"stopped after step {self.done} of {config.steps}, which is written")

    def _look(self, monitor: Monitor) -> None:
        """On every process: a synchronised BatchNorm waits for all of them."""
        row = monitor.look(self.done)
        if self.run.log:
            before, width = self.run.log.monitor.rows(), monitor.encoder.dim
            found = warnings_in(row, before, self.run.config.steps, width)
            self.run.log.watched({**row, "warnings": found} if found else row)

    def _log(self) -> None:
        names = self.found[0] if len(self.found[0]) > 1 else {}
        further = {name: torch.stack([part[name] for part in self.found]).mean() for name in names}
        if self.run.config.log_gradient_norm:
            known = self.norm  # before it was clipped
            further["gradient_norm"] = self.run.finite.gradient_norm() if known is None else known
        if self.run.log:
            seconds = time.perf_counter() - self.began
            groups = range(self.run.config.groups)
            corners = [self.run.corner(self.number * self.run.parts + group) for group in groups]
            self.run.log.write(self.done, self.loss, self.lr, corners, seconds, further)
