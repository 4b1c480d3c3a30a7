"""One process at a time in a folder: a lock that its holder's death releases."""

from __future__ import annotations

import fcntl
import logging
import os
import platform
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from audioinv.base.errors import UserError

NAME = ".lock"
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
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = _claim(path)
    except OSError as error:
        raise UserError(f"cannot lock {folder}: {error.strerror or error}") from error
    try:
        with suppress(OSError):  # a full disk: the lock holds without its text
            os.truncate(descriptor, 0)
            os.write(descriptor, _owner().encode())
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _claim(path: Path) -> int:
    """An open file descriptor of `path`, locked."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 4096).decode(errors="replace").strip()
            os.close(descriptor)
            raise UserError(
                f"{path.parent} is in use by {holder or 'another process'}; "
                "wait for it to end, or give another folder"
            ) from error
        except OSError as error:
            log.warning("%s: no locks on this file system (%s)", path.parent, error.strerror)
            return descriptor
        if _is(path, descriptor):
            return descriptor
        os.close(descriptor)  # its last holder has removed the file since it was opened


def _is(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _owner() -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    return f"process {os.getpid()} on {platform.node()} since {since} ({command[:1000]})\n"
