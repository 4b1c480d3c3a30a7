"""Progress of anything that is counted: a bar on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

log = logging.getLogger(__name__)
LINE_EVERY_S = 15.0


_open: list[Progress] = []
"""The bars that stand on the terminal: what is counted inside something else gets a line there."""
Item = TypeVar("Item")


def shown(items: Iterable[Item], what: str, unit: str = "") -> Iterator[Item]:
    """Passes `items` on, each forgotten once it is done, and shows how many of them are; see
    `counted`."""
    waiting = deque(items)
    del items
    total = len(waiting)
    with counted(what, unit) as progress:
        while waiting:
            yield waiting.popleft()
            progress(total - len(waiting), total)


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
    with _bars(console) as bars:
        job = bars.add_task(what, total=None, unit=unit)
        yield lambda done, total: bars.update(job, completed=done, total=total)
        bars.remove_task(job)


@contextmanager
def _bars(console: Console) -> Iterator[Progress]:
    if _open:
        yield _open[-1]
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bars:
        _open.append(bars)
        try:
            yield bars
        finally:
            _open.remove(bars)


def _lines(what: str, unit: str) -> Callable[[int, int], None]:
    began = last = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < LINE_EVERY_S or done >= total:
            return
        last = now
        log.info("%s: %d of %d %s, %s", what, done, total, unit, left(now - began, done, total))

    return report


def left(passed_s: float, done: float, total: float) -> str:
    """What is left to do in words, after `passed_s` seconds for the part that is done."""
    return f"about {spoken(passed_s / max(done, 1) * (total - done))} left"


def spoken(seconds: float) -> str:
    """A duration as people say it: "40 s", "12 min", "3.5 h"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
