"""Progress of downloads: a bar on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from audioinv.base.progress import left

log = logging.getLogger(__name__)
LINE_EVERY_S = 15.0


@contextmanager
def download_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Yields the callback of `fetch`: (name, bytes that are here, bytes in all or 0)."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _download_lines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:
        jobs: dict[str, TaskID] = {}

        def report(name: str, done: int, total: int) -> None:
            if name not in jobs:
                jobs[name] = bars.add_task(name)
            bars.update(jobs[name], completed=done, total=total or None)

        yield report


def _download_lines() -> Callable[[str, int, int], None]:
    last = [time.monotonic()]
    began: dict[str, tuple[float, int]] = {}  # when, and with how many bytes that were there

    def report(name: str, done: int, total: int) -> None:
        now = time.monotonic()
        start, first = began.setdefault(name, (now, done))
        if done == total or now - last[0] > LINE_EVERY_S:
            last[0] = now
            of = f"{total / 1e6:.1f}" if total else "?"
            rest = f", {left(now - start, done - first, total - first)}" if done < total else ""
            log.info("%s: %.1f of %s MB%s", name, done / 1e6, of, rest)

    return report
