"""Where the time of a pre-training step goes, by running `pretrain` itself with a stopwatch."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import nn
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from audioinv.base.errors import UserError
from audioinv.core.bank import AugmentationBank, ClipSource
from audioinv.core.encoder import AmortisedEncoder
from audioinv.training.loop import PretrainConfig, pretrain

PARTS = ("data", "augmentation", "front end", "network", "backward", "optimiser", "rest")
"""data: reading a batch. network: conditioning and backbone, forward. backward: of all that has a
gradient. rest: projector, loss, checks, and what the loop does between the others."""


class Stopwatch:
    """Seconds of each part of each step; a part within another does not count for that one.

    Args:
        wait: returns when the device has nothing left to do.
    """

    def __init__(self, wait: Callable[[], object]) -> None:
        self.wait = wait
        self.steps: list[dict[str, float]] = []
        self._running = ["rest"]
        self._seconds = dict.fromkeys(PARTS, 0.0)
        self._since = time.perf_counter()

    def begin(self, part: str) -> None:
        """From here on, time is `part`'s."""
        self._settle()
        self._running.append(part)

    def end(self) -> None:
        """Time is again that of the part around this one."""
        self._settle()
        self._running.pop()

    def end_step(self) -> None:
        """The step is over."""
        self._settle()
        self.steps.append(self._seconds)
        self._seconds = dict.fromkeys(PARTS, 0.0)

    def time(self, owner: Any, method: str, part: str) -> None:
        """Replaces a method of an object by itself, timed."""
        run = getattr(owner, method)

        def timed(*arguments: Any, **options: Any) -> Any:
            self.begin(part)
            result = run(*arguments, **options)
            self.end()
            return result

        setattr(owner, method, timed)

    def time_forward(self, module: nn.Module, part: str) -> None:
        """Times the forward pass of a module, and of copies of it."""
        module.register_forward_pre_hook(lambda *_: self.begin(part))
        module.register_forward_hook(lambda *_: self.end())

    def _settle(self) -> None:
        self.wait()
        now = time.perf_counter()
        self._seconds[self._running[-1]] += now - self._since
        self._since = now


def profile(
    encoder: AmortisedEncoder,
    bank: AugmentationBank,
    clips: ClipSource,
    config: PretrainConfig,
    fabric: Fabric,
    seed: int = 0,
    steps: int = 20,
) -> dict[str, Any]:
    """Times `steps` steps of pre-training, after one that warms up.

    The encoder is trained by them, and bank, clips and fabric stay timed: throw them away. Nothing
    is kept on disk.

    Returns:
        JSON: `step_ms`, the median; `parts`: part -> median `ms` and mean `share` of a step.

    Raises:
        UserError: no step, or settings that `pretrain` refuses.
    """
    if steps < 1:
        raise UserError(f"steps is {steps}; give 1 or more")
    cuda = fabric.device.type == "cuda"
    watch = Stopwatch(torch.cuda.synchronize if cuda else lambda: None)
    watch.time(clips, "batch", "data")
    watch.time(bank, "views", "augmentation")
    watch.time(fabric, "backward", "backward")
    watch.time_forward(encoder, "network")
    watch.time_forward(encoder.frontend, "front end")
    hooks = [
        register_optimizer_step_pre_hook(lambda *_: watch.begin("optimiser")),
        register_optimizer_step_post_hook(lambda *_: watch.end()),
    ]
    settings = replace(config, steps=steps + 2, checkpoint_every=steps + 2, read_ahead=0)
    try:
        with tempfile.TemporaryDirectory() as run:
            pretrain(
                encoder, bank, clips, settings, Path(run), fabric, seed, lambda *_: watch.end_step()
            )
    finally:
        for hook in hooks:
            hook.remove()
    return summary(watch.steps[1:-1])  # the last one writes a checkpoint


def summary(steps: list[dict[str, float]]) -> dict[str, Any]:
    """What `profile` returns, of the seconds of each part of each step."""
    totals = [sum(step.values()) for step in steps]
    parts = {
        part: {
            "ms": round(1e3 * median(step[part] for step in steps), 3),
            "share": round(sum(step[part] for step in steps) / sum(totals), 4),
        }
        for part in PARTS
    }
    return {"steps": len(steps), "step_ms": round(1e3 * median(totals), 3), "parts": parts}
