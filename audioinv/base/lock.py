"""One process at a time in a folder: a lock that its holder's death releases."""

from __future__ import annotations

import errno
import logging
import os
import platform
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from audioinv.base.errors import UserError

NAME = ".lock"
WAIT_S = 0.1  # for a holder that is just removing the file
_NO_LOCKS = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK}  # what such file systems answer
log = logging.getLogger(__name__)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds `folder`/.lock, a file that names its holder; makes the folder if need be.

    The operating system releases it when the process ends, however it ends: a file left behind by
    a killed process is no obstacle. Where the file system knows no locks there is a warning only.

    Raises:
        UserError: another process holds it, or the file cannot be made.
    """
    path = folder / NAME
    # soft locks would outlive a killed process
    lock = FileLock(path, timeout=WAIT_S, fallback_to_soft=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _claim(lock, path)
    except OSError as error:
        raise UserError(f"cannot lock {folder}: {error.strerror or error}") from error
    try:
        with suppress(OSError):  # a full disk: the lock holds without its text
            path.write_text(_owner(), encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            path.unlink()  # while it is held: filelock trusts no file that is gone
        lock.release()


def _claim(lock: FileLock, path: Path) -> None:
    """Acquires `lock`, the file `path`."""
    try:
        lock.acquire()
    except Timeout as error:
        raise UserError(
            f"{path.parent} is in use by {_holder(path) or 'another process'}; "
            "wait for it to end, or give another folder"
        ) from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        log.warning("%s: no locks on this file system (%s)", path.parent, error.strerror)


def _holder(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _owner() -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    return f"process {os.getpid()} on {platform.node()} since {since} ({command[:1000]})\n"
