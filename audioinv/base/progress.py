"""Progress of anything that is counted: a bar on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

log = logging.getLogger(__name__)
LINE_EVERY_S = 15.0


@contextmanager
def counted(what: str, unit: str = "") -> Iterator[Callable[[int, int], None]]:
    """Yields a function to be called with how many are done, and of how many.

    Args:
        what: is being done, as "normalisation statistics". unit: what is counted, as "corners".
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(what, unit)
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bar:
        job = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(job, completed=done, total=total)


def _lines(what: str, unit: str) -> Callable[[int, int], None]:
    began = last = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < LINE_EVERY_S or done >= total:
            return
        last = now
        left = (now - began) / max(done, 1) * (total - done)
        log.info("%s: %d of %d %s, about %s left", what, done, total, unit, spoken(left))

    return report


def spoken(seconds: float) -> str:
    """A duration as people say it: "40 s", "12 min", "3.5 h"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
