"""Progress of training: a bar on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from audioinv.base.progress import left

log = logging.getLogger(__name__)
LINE_EVERY_S = 15.0


@contextmanager
def training_progress(steps: int, name: str) -> Iterator[Callable[[int, float, float], None]]:
    """Yields the callback of `pretrain`: (steps done, loss, learning rate)."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(steps, name)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("loss {task.fields[loss]:.3f}"),
    )
    with Progress(*columns, console=console) as bar:
        job = bar.add_task(name, total=steps, loss=float("nan"))
        yield lambda done, loss, lr: bar.update(job, completed=done, loss=loss)


def _lines(steps: int, name: str) -> Callable[[int, float, float], None]:
    began = last = time.monotonic()
    first: int | None = None  # done before: a run that goes on begins behind step 0

    def report(done: int, loss: float, lr: float) -> None:
        nonlocal first, last
        now = time.monotonic()
        first = done - 1 if first is None else first
        if done < steps and now - last <= LINE_EVERY_S:
            return
        last = now
        told = left(now - began, done - first, steps - first) if done < steps else "done"
        log.info("%s: step %d of %d, loss %.3f, lr %.2g, %s", name, done, steps, loss, lr, told)

    return report
