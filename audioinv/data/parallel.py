"""One way to do the same thing to many files: in parallel, in order, showing progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import track

from audioinv.core.errors import FileError, UserError

Item = TypeVar("Item")
Result = TypeVar("Result")

LINE_EVERY_S = 10.0
PROBE_THREADS = 8


def map_all(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    title: str,
    *,
    threads: bool = False,
    chunk: int = 1,
) -> list[Result]:
    """`[function(item) for item in items]`, by `workers` processes (or threads), with progress.

    Progress goes to standard error: a bar on a terminal, a plain line now and then elsewhere.
    The first error stops the rest. With one worker, or one chunk, it runs in this process.

    Raises:
        UserError: `workers` is below 1, or a worker process was killed.
    """
    if workers < 1:
        raise UserError(f"the number of workers is {workers}; give 1 or more")
    if workers == 1 or len(items) <= chunk:
        return list(_shown(map(function, items), len(items), title))
    with _pool(workers, threads) as pool:
        try:
            return list(_shown(pool.map(function, items, chunksize=chunk), len(items), title))
        except BrokenProcessPool as error:
            raise UserError(
                f"{title}: a worker process was killed, perhaps for memory; use fewer workers"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def probe_files(probe: Callable[[Path], Result], paths: Sequence[Path]) -> list[Result]:
    """`probe` of every file, in threads.

    Raises:
        UserError: files that `probe` raises a FileError of; the message names them all.
    """
    found = map_all(
        partial(_or_error, probe), paths, PROBE_THREADS, "reading headers", threads=True
    )
    errors = [str(error) for error in found if isinstance(error, FileError)]
    if errors:
        raise UserError(f"{len(errors)} unreadable file(s): {'; '.join(errors)}")
    return [result for result in found if not isinstance(result, FileError)]


def _or_error(probe: Callable[[Path], Result], path: Path) -> Result | FileError:
    try:
        return probe(path)
    except FileError as error:
        return error


def _pool(workers: int, threads: bool) -> Executor:
    if threads:
        return ThreadPoolExecutor(workers)
    # Spawned, not forked: a fork of a process with threads (Arrow, torch) can hang.
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))


def _shown(results: Iterable[Result], total: int, title: str) -> Iterator[Result]:
    """Passes `results` on, showing how far they are."""
    console = Console(stderr=True)
    if console.is_terminal:
        yield from track(results, title, total, console=console)
        return
    said = time.monotonic()
    for done, result in enumerate(results, 1):
        yield result
        if done == total or time.monotonic() - said > LINE_EVERY_S:
            said = time.monotonic()
            print(f"{title}: {done} of {total}", file=sys.stderr, flush=True)
