"""Where the time of a pre-training step goes, by `pretrain` itself under a stopwatch."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import nn

from audioinv.base.errors import UserError
from audioinv.core.bank import AugmentationBank, ClipSource
from audioinv.core.encoder import AmortisedEncoder
from audioinv.training.config import PretrainConfig
from audioinv.training.loop import pretrain

PARTS = ("data", "augmentation", "front end", "network", "backward", "optimiser", "rest")
"""data: reading a batch. augmentation: views, and what is random in a penalty. network:
conditioning and backbone, forward. backward: of all that has a gradient. rest: projector, loss,
checks, and what the loop does between the others."""


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

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """Within it, time is `part`'s."""
        self.begin(part)
        yield
        self.end()

    @contextmanager
    def forward(self, module: nn.Module, part: str) -> Iterator[None]:
        """Within it, forward passes of a module, and of copies made of it, are `part`'s."""
        hooks = [
            module.register_forward_pre_hook(lambda *_: self.begin(part)),
            module.register_forward_hook(lambda *_: self.end()),
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

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

    The encoder is trained by them: throw it away. Nothing is kept on disk.

    Returns:
        JSON: `step_ms`, the median; `parts`: part -> median `ms` and mean `share` of a step.

    Raises:
        UserError: no step, or settings that `pretrain` refuses.
    """
    if steps < 1:
        raise UserError(f"steps is {steps}; give 1 or more")
    cuda = fabric.device.type == "cuda"
    watch = Stopwatch(torch.cuda.synchronize if cuda else lambda: None)
    settings = replace(config, steps=steps + 2, checkpoint_every=steps + 2, read_ahead=0)
    with (
        watch.forward(encoder, "network"),
        watch.forward(encoder.frontend, "front end"),
        tempfile.TemporaryDirectory() as run,
    ):
        pretrain(
            encoder, bank, clips, settings, Path(run), fabric, seed,
            progress=lambda *_: watch.end_step(), watch=watch,
        )  # fmt: skip
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
