"""Being asked to stop, as SLURM does before it takes a machine away, or by Ctrl-C."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOPPED_STATUS = 143
"""What the command line then returns: 128 + SIGTERM, as a shell reports it."""
INTERRUPTED_STATUS = 130
"""The same of SIGINT, which Ctrl-C sends."""
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
log = logging.getLogger(__name__)


class Stopped(Exception):
    """The work was stopped by a signal, after its state was written."""

    status = STOPPED_STATUS


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Yields a function that tells whether one of `SIGNALS` has come; they do nothing else.

    A second SIGINT interrupts at once. A signal that the process ignores, as one in the background
    of a shell ignores SIGINT, stays ignored. Outside the main thread, where Python gets no signals,
    it is never true.
    """
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            if number in came:
                raise KeyboardInterrupt
            log.warning("stopping after the step at hand, with a checkpoint; again: at once")
        came.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    heeded = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, note) for number in heeded}
    try:
        yield lambda: bool(came)
    except Stopped as stopped:
        if signal.SIGINT in came:
            stopped.status = INTERRUPTED_STATUS
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
