"""Clips straight from WebDataset shards: tars of their files, decoded as they are needed.

Every tar is indexed once at the start (its headers are read, not its files); from then on a clip is
read by its offset. So any clip can be had at any time, and order, crops, resuming and sharing among
processes are those of a pack. Other files of an example (.json, .txt, .pyd ...) are never read.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tarfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from audioinv.base.errors import FileError, UserError
from audioinv.base.near import unknown
from audioinv.data.manifest import Corpus
from audioinv.data.media import Media, Samples
from audioinv.data.modality import modality_of, registered
from audioinv.data.pack import ON_ERROR, Pack
from audioinv.data.paths import leaves_root

LARGEST_BYTES = 1 << 30  # of one file; a worker holds it
SHOWN = 5
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shards(Pack):
    """A pack whose clips are decoded when they are asked for.

    `frame` has a column `id`, TAR/NAME; `directory` is that of the first shard.

    Args:
        tars: the shards. media: how a file is decoded.
        on_error: "fail" stops at a clip that cannot be decoded; "skip" takes the next one in its
            place, whoever asks and whenever, and says so once.
    """

    tars: tuple[Path, ...] = ()
    media: Media = field(kw_only=True)
    on_error: str = "fail"
    _where: tuple[np.ndarray[Any, Any], ...] = field(default=(), repr=False)  # tar, offset, size

    def __reduce__(self) -> tuple[Any, ...]:
        return open_shards, (self.corpus.root, self.media, self.corpus.modality, self.on_error)

    def samples(self, index: int) -> Samples:
        """Clip `index`, decoded: (n_samples,).

        Raises:
            IndexError: there is no such clip.
            UserError: the shard cannot be read, or the clip cannot be decoded (on_error "fail") or
                none can.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"clip {index} of shards of {len(self)}")
        for further in range(len(self)):
            number = (index + further) % len(self)
            try:
                return self._decode(number)
            except FileError as error:
                if self.on_error == "fail":
                    raise UserError(f"{error}; on_error=skip takes another in its place") from None
                self._tell(number, str(error))
        raise UserError(f"{self.directory}: none of {len(self)} clips can be decoded")

    def _decode(self, number: int) -> Samples:
        name = self.frame["id"].iloc[number]
        tar, offset, size = (int(column[number]) for column in self._where)
        with _file_of(_read(self.tars[tar], offset, size)) as path:
            try:
                return self.media.read(path, registered(self.corpus.modality).whole_file)
            except FileError as error:
                raise FileError(error.kind, str(error).replace(str(path), name)) from None

    def _tell(self, number: int, reason: str) -> None:
        name = self.frame["id"].iloc[number]
        if name not in self.skipped:
            self.skipped[name] = reason
            log.warning("%s; the next clip takes its place", reason)


def open_shards(
    names: str, media: Media, modality: str = "audio", on_error: str = "fail"
) -> Shards:
    """Indexes WebDataset shards.

    Args:
        names: as WebDataset writes them: "DIR/part-{000000..000099}.tar", several joined by "::".
        media: how a file is decoded, and its size. modality: one whose clips are files.
        on_error: see `Shards`.

    Raises:
        UserError: webdataset is not installed, another modality, a shard that is missing, damaged,
            cut or compressed, or no clip in all of them.
    """
    if on_error not in ON_ERROR:
        raise unknown("on_error", on_error, ON_ERROR)
    kind = modality_of(modality)
    if not kind.endings:
        raise UserError(f"clips of modality {modality} are no files that shards hold; give a pack")
    tars = [Path(name) for name in _expand(names)]
    found = [
        (number, *member)
        for number, tar in enumerate(tars)
        for member in _members(tar, kind.endings)
    ]
    if not found:
        raise UserError(f"{names}: no {modality} files ({', '.join(sorted(kind.endings))}) in it")
    number, name, offset, size = zip(*found, strict=True)
    ids = [f"{tars[n].name}/{member}" for n, member in zip(number, name, strict=True)]
    digest = hashlib.sha256(repr((modality, *zip(ids, offset, size, strict=True))).encode())
    return Shards(
        tars[0].parent,
        pd.DataFrame({"id": ids}),
        media.size,
        Corpus("shards", "WebDataset shards", "", "", names, 0, modality=modality),
        digest.hexdigest(),
        {},
        tars=tuple(tars),
        media=media,
        on_error=on_error,
        _where=(np.array(number), np.array(offset), np.array(size)),
    )


def _expand(names: str) -> list[str]:
    """The shards' names, by WebDataset's own rules."""
    try:
        expand = import_module("webdataset.shardlists").expand_urls
    except ModuleNotFoundError as error:
        raise UserError(
            "shards need webdataset; install it: pip install 'audioinv[webdataset]'"
        ) from error
    try:
        return list(expand(names))
    except (AssertionError, ValueError) as error:
        raise UserError(f"shards={names}: {error}") from error


def _members(tar: Path, endings: Collection[str]) -> Iterator[tuple[str, int, int]]:
    """Name, offset and size of every file of a tar that has one of the endings, in its order.

    Raises:
        UserError: the tar is missing, damaged, cut or compressed.
    """
    ignored = []
    try:
        end = tar.stat().st_size
        with tarfile.open(tar, "r:") as archive:
            before = -1
            while (member := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined]  # it would keep them all
                if member.size < 0 or member.offset <= before:  # else it would never end
                    raise tarfile.ReadError(f"{member.name} has a negative size")
                before = member.offset
                path = PurePosixPath(member.name)
                if path.suffix.lower() not in endings or any(map(hidden, path.parts)):
                    continue
                if reason := _refused(member):
                    ignored.append(f"{member.name} ({reason})")
                    continue
                if member.offset_data + member.size > end:
                    raise tarfile.ReadError(f"{member.name} is promised {member.size} bytes")
                yield member.name, member.offset_data, member.size
    except (OSError, ValueError, tarfile.TarError) as error:
        raise UserError(
            f"{tar}: no tar that can be read to its end ({error}); shards must not be compressed"
        ) from error
    if ignored:
        more = ", ..." if len(ignored) > SHOWN else ""
        log.warning("%s: %d ignored: %s", tar, len(ignored), ", ".join(ignored[:SHOWN]) + more)


def hidden(name: str) -> bool:
    """Whether a file or folder is: macOS writes ._x.wav beside x.wav."""
    return name.startswith(".") and name not in (".", "..")


def _refused(member: tarfile.TarInfo) -> str:
    """Why a member of a tar is none of the clips; "" if it is one."""
    if not member.isreg() or member.issparse():
        return "no ordinary file"
    if leaves_root(member.name):
        return "its path leaves the shard"
    if member.size > LARGEST_BYTES:
        return f"larger than {LARGEST_BYTES >> 20} MB; pack such recordings"
    return ""


def _read(tar: Path, offset: int, size: int) -> bytes:
    try:
        with open(tar, "rb") as file:
            content = os.pread(file.fileno(), size, offset)
    except OSError as error:
        raise UserError(f"cannot read {tar}: {error.strerror or error}") from error
    if len(content) != size:
        raise UserError(f"{tar} has become shorter since it was indexed")
    return content


@contextmanager
def _file_of(content: bytes) -> Iterator[Path]:
    """A file of that content in memory alone: decoders want a path, and read one without Python."""
    with os.fdopen(os.memfd_create("clip"), "wb") as file:
        file.write(content)
        file.flush()
        yield Path(f"/proc/self/fd/{file.fileno()}")
