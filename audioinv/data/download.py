"""Fetching the public files of a corpus: resumed where they broke off, checked, then unpacked.

By hand, since pooch begins a broken download anew (some files here have 25 GB), does not look
whether the disk has room, and unpacks straight into place and no zip in several parts.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from audioinv.base.errors import UserError
from audioinv.base.files import write_text
from audioinv.base.version import __version__
from audioinv.data.paths import path_inside
from audioinv.data.unpack import unpack

log = logging.getLogger(__name__)

Report = Callable[[str, int, int], None]  # name, bytes that are here, bytes in all (0: not told)

TIMEOUT_S = 60.0
ATTEMPTS = 5  # in a row without a new byte
BACK_OFF_S = 2.0  # before the second attempt; doubled before each further one
_BLOCK_BYTES = 1 << 18
_PASSING = {408, 425, 429, 500, 502, 503, 504}  # HTTP statuses worth another attempt
_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


@dataclass(frozen=True)
class Download:
    """One public file.

    Args:
        url: where it is. path: where it goes, relative to the corpus' root.
        checksum: "md5:<hex>" or "sha256:<hex>" as published; "" where nobody publishes one.
        unpack: an archive (.zip, .tar, .tar.gz, .tgz, .tar.bz2) to unpack beside itself. The parts
            NAME.z01, ... of a zip in several parts are not unpacked, the NAME.zip after them is.
    """

    url: str
    path: str
    checksum: str = ""
    unpack: bool = True


class _Broken(Exception):
    """The connection broke, or the server is busy: try again."""


def _ignore(name: str, done: int, total: int) -> None:
    """Reports nothing."""


def fetch(downloads: Sequence[Download], root: str | Path, progress: Report = _ignore) -> None:
    """Brings every file under `root` and unpacks the archives; does nothing for what is done.

    A file arrives as <path>.part, which the next run goes on with, and takes its name once it is
    whole and its checksum is right. After an archive is unpacked it may be deleted: the stamp
    .unpacked-<name> says that it was.

    Raises:
        UserError: an address that gives no file, a wrong checksum, a damaged archive or a full
            disk; the message names it.
    """
    for item in downloads:
        path = path_inside(Path(root), item.path)
        stamp, text = _stamp(path), f"{item.url} {item.checksum}\n"
        if stamp.is_file() and (not item.unpack or stamp.read_text(encoding="utf-8") == text):
            log.info("already there: %s, unpacked", path)
            continue
        _bring(item, path, progress)
        if item.unpack:
            log.info("unpacking %s", path)
            unpack(path)
            write_text(stamp, text)


def _stamp(path: Path) -> Path:
    """Says that an archive is unpacked; for a part of one, that the archive is."""
    return path.with_name(f".unpacked-{re.sub(r'[.]z[0-9][0-9]$', '.zip', path.name)}")


def _bring(item: Download, path: Path, progress: Report) -> None:
    """Makes `path` the whole file."""
    if path.is_file():
        if not item.checksum or _digest(path, item.checksum) == item.checksum:
            log.info("already there: %s", path)
            return
        log.info("%s has another checksum than published; downloading it again", path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    _download(item.url, part, lambda done, total: progress(path.name, done, total))
    if item.checksum and (found := _digest(part, item.checksum)) != item.checksum:
        part.unlink()
        raise UserError(
            f"{item.url} has checksum {found} but {item.checksum} is published; it is deleted: "
            "try again, and if it stays so the publisher has changed the file"
        )
    os.replace(part, path)


def _digest(path: Path, checksum: str) -> str:
    """The file's checksum, of the same kind and written in the same way."""
    kind = checksum.partition(":")[0]
    with open(path, "rb") as file:
        return f"{kind}:{hashlib.file_digest(file, kind).hexdigest()}"


def _download(url: str, part: Path, progress: Callable[[int, int], None]) -> None:
    """Fills `part`, going on where it ends, with a few attempts."""
    failures = 0
    while True:
        before = _size(part)
        try:
            _transfer(url, part, progress)
            return
        except _Broken as error:
            failures = 1 if _size(part) > before else failures + 1
            if failures >= ATTEMPTS:
                raise UserError(
                    f"cannot download {url}: {error}; the same command goes on where it stopped"
                ) from error
            log.info("%s: %s; trying again", url, error)
            time.sleep(BACK_OFF_S * 2 ** (failures - 1))


def _transfer(url: str, part: Path, progress: Callable[[int, int], None]) -> None:
    """One attempt.

    Raises:
        _Broken: it is worth another.
        UserError: it is not.
    """
    start = _size(part)
    request = Request(url, headers={"User-Agent": f"audioinv/{__version__}"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        with urlopen(request, timeout=TIMEOUT_S) as response:
            _receive(response, part, start, progress)
    except HTTPError as error:
        _judge(url, part, start, error)
    except http.client.HTTPException as error:
        raise _Broken(str(error) or type(error).__name__) from error
    except OSError as error:
        if error.filename is not None or error.errno in _OF_THE_DISK:
            raise UserError(f"cannot write {part}: {error.strerror}") from error
        raise _Broken(str(getattr(error, "reason", error))) from error


def _receive(
    response: http.client.HTTPResponse, part: Path, start: int, progress: Callable[[int, int], None]
) -> None:
    """Writes the body of an answer behind the `start` bytes that are here."""
    if response.status != 206 or _first_byte(response) != start:
        start = 0  # the server ignores the range and sends everything
    length = response.headers.get("Content-Length")
    total = start + int(length) if length else 0
    _check_space(part, total - start)
    with open(part, "ab" if start else "wb") as file:
        while block := response.read(_BLOCK_BYTES):
            file.write(block)
            progress(file.tell(), total)
        file.flush()
        os.fsync(file.fileno())
        if total and file.tell() < total:
            raise _Broken(f"the connection ended after {file.tell()} of {total} bytes")


def _first_byte(response: http.client.HTTPResponse) -> int:
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(found[1]) if found else -1


def _judge(url: str, part: Path, start: int, error: HTTPError) -> None:
    """Returns if the error says that the file is whole; else raises what it means."""
    if error.code == 416:  # nothing behind what is here: all of it, or something else
        if error.headers.get("Content-Range", "") == f"bytes */{start}":
            return
        part.unlink(missing_ok=True)
        raise _Broken("what was here before is no part of it") from error
    if error.code in _PASSING:
        raise _Broken(f"HTTP {error.code} {error.reason}") from error
    raise UserError(
        f"cannot download {url}: HTTP {error.code} {error.reason}; see the corpus' page for where "
        "it is now, and put the file there yourself"
    ) from error


def _check_space(part: Path, needed_bytes: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed_bytes > free:
        raise UserError(
            f"{part.name} needs {needed_bytes / 1e9:.1f} GB but {free / 1e9:.1f} GB are free in "
            f"{part.parent}; make room or choose another --root"
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
