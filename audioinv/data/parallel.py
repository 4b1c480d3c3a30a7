"""One way to do the same thing to many pieces: in parallel, in order, showing progress.

An engine says where the work is done: `Local` by processes of this machine, `data.on_ray.OnRay` on
Ray. Who asks for work to be done does not know which.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol, TypeVar

from rich.console import Console
from rich.progress import track

from audioinv.base.errors import FileError, UserError
from audioinv.base.progress import left

Item = TypeVar("Item")
Result = TypeVar("Result")

LINE_EVERY_S = 10.0
PROBE_THREADS = 8
PROBED_FIRST = 32  # files, which tell how slow the others are
SLOW_S = 2e-3  # a file


class Engine(Protocol):
    """Where work is done: `workers` pieces at a time.

    `run` yields (number, function(item)) for every item, in any order; the first error stops the
    rest. Function, items and results can be pickled. An engine may give an item to another worker
    when one dies, so a function that writes `item`'s file must do so atomically. `folder` is where
    it writes, if it does: every worker must see what this process sees there.
    """

    @property
    def workers(self) -> int: ...

    def run(
        self, function: Callable[[Item], Result], items: Sequence[Item], folder: Path | None
    ) -> Iterator[tuple[int, Result]]: ...


@dataclass(frozen=True)
class Local:
    """Processes of this machine; one worker, or one chunk of items, is this process itself.

    Args:
        workers: processes. chunk: items that a process takes at a time.
    """

    workers: int = 1
    chunk: int = 1

    def run(
        self, function: Callable[[Item], Result], items: Sequence[Item], folder: Path | None = None
    ) -> Iterator[tuple[int, Result]]:
        """As `Engine` says.

        Raises:
            UserError: a worker process was killed.
        """
        if self.workers == 1 or len(items) <= self.chunk:
            yield from enumerate(map(function, items))
            return
        # Spawned, not forked: a fork of a process with threads (Arrow, torch) can hang.
        with ProcessPoolExecutor(self.workers, mp_context=get_context("spawn")) as pool:
            try:
                yield from enumerate(pool.map(function, items, chunksize=self.chunk))
            except BrokenProcessPool as error:
                raise UserError(
                    "a worker process was killed, perhaps for memory; use fewer workers"
                ) from error
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


SERIAL = Local()


def map_all(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    engine: Engine,
    title: str,
    folder: Path | None = None,
) -> list[Result]:
    """`[function(item) for item in items]`, done by `engine`, with progress.

    Progress goes to standard error: a bar on a terminal, a plain line now and then elsewhere.
    The first error stops the rest.

    Raises:
        UserError: fewer workers than 1, or what the engine raises.
    """
    if engine.workers < 1:
        raise UserError(f"the number of workers is {engine.workers}; give 1 or more")
    done = dict(_shown(engine.run(function, items, folder), len(items), title))
    return [done[number] for number in range(len(items))]


def probe_files(probe: Callable[[Path], Result], paths: Sequence[Path]) -> list[Result]:
    """`probe` of every file, in threads.

    Raises:
        UserError: files that `probe` raises a FileError of; the message names them all.
    """
    found = probe_each(probe, paths)
    errors = [str(error) for error in found if isinstance(error, FileError)]
    if errors:
        raise UserError(f"{len(errors)} unreadable file(s): {'; '.join(errors)}")
    return [result for result in found if not isinstance(result, FileError)]


def probe_each(probe: Callable[[Path], Result], paths: Sequence[Path]) -> list[Result | FileError]:
    """`probe` of every file, in order, or the FileError that it raises; in threads where files are
    slow to read: those of a fast disk take twice as long in threads that wait for each other."""
    one = partial(_or_error, probe)

    def found() -> Iterator[Result | FileError]:
        began = time.monotonic()
        yield from map(one, paths[:PROBED_FIRST])
        slow = time.monotonic() - began > SLOW_S * min(len(paths), PROBED_FIRST)
        with ThreadPoolExecutor(PROBE_THREADS) as pool:
            yield from (pool.map if slow else map)(one, paths[PROBED_FIRST:])

    return list(_shown(found(), len(paths), "reading headers"))


def _or_error(probe: Callable[[Path], Result], path: Path) -> Result | FileError:
    try:
        return probe(path)
    except FileError as error:
        return error


def _shown(results: Iterable[Result], total: int, title: str) -> Iterator[Result]:
    """Passes `results` on, showing how far they are."""
    console = Console(stderr=True)
    if console.is_terminal:
        yield from track(results, title, total, console=console)
        return
    began = said = time.monotonic()
    for done, result in enumerate(results, 1):
        yield result
        now = time.monotonic()
        if done == total or now - said > LINE_EVERY_S:
            said = now
            told = f", {left(now - began, done, total)}" if done < total else ""
            print(f"{title}: {done} of {total}{told}", file=sys.stderr, flush=True)
