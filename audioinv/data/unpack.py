"""Unpacking an archive beside itself: what is there is whole, and nothing lands elsewhere."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import zipfile
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import accumulate
from pathlib import Path
from typing import IO, Any

from audioinv.base.errors import UserError
from audioinv.data.paths import leaves_root

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2")
_BLOCK_BYTES = 1 << 20


def unpack(archive: Path) -> None:
    """Unpacks `archive` into its folder: first aside, then each file moved into its place.

    A zip in several parts is read from all of them: NAME.z01, NAME.z02, ... beside NAME.zip.

    Raises:
        UserError: another ending, a damaged archive, a member that would leave the folder or is a
            link, or the disk is full.
    """
    if not archive.name.endswith(ARCHIVES):
        raise UserError(f"{archive} is no archive that can be unpacked ({', '.join(ARCHIVES)})")
    aside = archive.parent / f".unpacking-{archive.name}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        _extract(archive, aside)
        _move_into(aside, archive.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _extract(archive: Path, folder: Path) -> None:
    members = _zip_members if archive.suffix == ".zip" else _tar_members
    try:
        for name, content in members(archive):
            if leaves_root(name) or "\\" in name or ":" in name.split("/")[0]:
                raise UserError(
                    f"{archive}: its member '{name}' would leave the folder; do not trust it"
                )
            _write(folder / name, content)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, RuntimeError) as error:
        raise UserError(
            f"{archive} cannot be unpacked ({error}); delete it and download it again, "
            "or unpack it yourself"
        ) from error
    except OSError as error:
        raise UserError(f"cannot unpack {archive}: {error.strerror or error}") from error


def _write(path: Path, content: IO[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with content, open(path, "wb") as file:
        shutil.copyfileobj(content, file, _BLOCK_BYTES)


def _move_into(source: Path, target: Path) -> None:
    """Moves the files below `source` into `target`, beside or over what is there."""
    for folder, _, names in os.walk(source):
        place = target / Path(folder).relative_to(source)
        place.mkdir(parents=True, exist_ok=True)
        for name in names:
            os.replace(Path(folder) / name, place / name)


def _tar_members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Name and content of each file."""
    with tarfile.open(archive) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if content is not None:
                yield member.name, content
            elif not member.isdir():
                raise UserError(
                    f"{archive}: its member '{member.name}' is a link or a device; "
                    "unpack it yourself if you trust it"
                )


def _zip_members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Name and content of each file."""
    with _joined(_parts(archive)) as (file, starts), zipfile.ZipFile(file) as packed:
        members = [member for member in packed.infolist() if not member.is_dir()]
        _check_space(archive, sum(member.file_size for member in members))
        for member in members:
            # zipfile takes every offset as one into the last part; it is one into the member's own.
            member.header_offset += starts[member.volume] - starts[-1]
            yield member.filename, packed.open(member)


def _check_space(archive: Path, needed_bytes: int) -> None:
    free = shutil.disk_usage(archive.parent).free
    if needed_bytes > free:
        raise UserError(
            f"{archive} unpacks to {needed_bytes / 1e9:.1f} GB but {free / 1e9:.1f} GB are free in "
            f"{archive.parent}; make room or choose another folder"
        )


def _parts(archive: Path) -> list[Path]:
    """NAME.z01, NAME.z02, ..., NAME.zip: one disk each, as the zip format calls them."""
    return [*sorted(archive.parent.glob(f"{archive.stem}.z[0-9][0-9]")), archive]


@contextmanager
def _joined(parts: Sequence[Path]) -> Iterator[tuple[IO[bytes], list[int]]]:
    """The parts as one file to read, and where in it each begins."""
    starts = list(accumulate((part.stat().st_size for part in parts), initial=0))
    with ExitStack() as stack:
        files = [stack.enter_context(open(part, "rb")) for part in parts]
        whole = files[0] if len(files) == 1 else io.BufferedReader(_Joined(files, starts))
        yield whole, starts[:-1]


class _Joined(io.RawIOBase):
    """Open files read one after another as if they were one."""

    def __init__(self, files: Sequence[IO[bytes]], starts: Sequence[int]) -> None:
        self.files = files
        self.starts = starts  # of each file, and the end of the last
        self.position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self.position, os.SEEK_END: self.starts[-1]}[whence]
        self.position = base + offset
        return self.position

    def readinto(self, buffer: Any) -> int:
        if self.position >= self.starts[-1]:
            return 0
        index = bisect_right(self.starts, self.position) - 1
        wanted = min(len(buffer), self.starts[index + 1] - self.position)
        self.files[index].seek(self.position - self.starts[index])
        block = self.files[index].read(wanted)
        buffer[: len(block)] = block
        self.position += len(block)
        return len(block)
