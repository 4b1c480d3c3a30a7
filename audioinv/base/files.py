"""Atomic writing: a file is either the old one or the whole new one."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from audioinv.base.errors import UserError

ENCODER_FILES = ("encoder.json", "encoder.safetensors")


@contextmanager
def atomic_path(path: str | Path, flush: bool = True) -> Iterator[Path]:
    """Yields a temporary sibling of `path`; on success it takes `path`'s place, on error it goes.

    Args:
        flush: to disk before the rename, so that even a power failure never leaves a torn `path`.
            Off for thousands of small files that a later step reads and checks anyway.

    Raises:
        UserError: the file cannot be written (disk full, no permission, no such folder).
    """
    path = Path(path)
    # Of this process on this machine: two machines may write to one file system.
    temporary = path.with_name(f".{path.name}.{platform.node()}-{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if flush:
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def remove_abandoned(*folders: Path) -> None:
    """Removes the temporary files that killed writers left directly in `folders`.

    For whoever may be sure that nobody writes there now, by holding their lock.
    """
    for path in (path for folder in folders for path in folder.glob(".*.*.tmp")):
        with suppress(OSError):
            path.unlink()


def write_text(path: str | Path, text: str) -> None:
    """Writes `text` to `path` atomically, as UTF-8."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Writes `value` to `path` atomically, as indented JSON without NaN."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Reads JSON.

    Raises:
        UserError: the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from error


def key_of(folder: str | Path, names: Iterable[str]) -> str:
    """SHA-256 (hex) of what the files `names` of a folder hold; those that lack are left out."""
    digest = hashlib.sha256()
    for path in (Path(folder) / name for name in names):
        if path.exists():
            digest.update(_digest(path, path.stat().st_mtime_ns))
    return digest.hexdigest()


@lru_cache(maxsize=4)
def _digest(path: Path, mtime_ns: int) -> bytes:
    """SHA-256 of a file that was last changed then: tasks and modes ask again and again."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
