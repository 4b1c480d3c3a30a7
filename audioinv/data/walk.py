"""The files of a folder tree: those that hold clips, and what is to be said of the others."""

from __future__ import annotations

import logging
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from audioinv.base.errors import FileError, UserError
from audioinv.data.preparing import Preparation, ending_of

LOOKED_AT = 100  # files of each ending that is not known
NOTHING = "a link to nothing; mend it, or remove it"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kind:
    """Files that hold clips.

    Args:
        name: of what they hold, for messages. endings: theirs, in lower case.
        foreign: endings of files that hold the same, and that nothing here reads.
        remedy: for those. probe: reads a header, or raises a FileError.
    """

    name: str
    endings: Collection[str]
    foreign: Collection[str]
    remedy: str
    probe: Callable[[Path], object]

    @property
    def other(self) -> str:
        """What is said of all other files."""
        return f"no {self.name} by its ending"


def find_files(root: Path, endings: Collection[str], kind: str) -> list[PurePosixPath]:
    """The files under `root`, relative to it, in order; links are followed.

    Hidden files and folders are none. A warning counts files of other endings.

    Raises:
        UserError: no folder, none in it, or names that are not UTF-8.
    """
    files = visible(root, kind)
    paths = [path for path in files if path.suffix.lower() in endings]
    if not paths:
        raise UserError(f"no {kind} under {root}; looked for {', '.join(sorted(endings))}")
    if len(paths) < len(files):
        others = Counter(ending_of(str(path)) for path in set(files).difference(paths))
        told = ", ".join(f"{ending} {n}" for ending, n in sorted(others.items()))
        log.warning("%s: files of other endings are passed over: %s", root, told)
    return _named(paths)


def find_clips(root: Path, kind: Kind, preparation: Preparation) -> list[PurePosixPath]:
    """As `find_files`; what is left out, and why, is told to `preparation`.

    Raises:
        UserError: as `find_files`; or links that lead out of the root, or nowhere.
    """
    files = visible(root, kind.name)
    clips = [path for path in files if path.suffix.lower() in kind.endings]
    told: defaultdict[str, list[str]] = defaultdict(list)
    for path in files:
        if (ending := path.suffix.lower()) not in kind.endings:
            if len(told[ending]) < LOOKED_AT:  # the last of them stands for all that follow
                told[ending].append(_why(root / path, ending, kind))
            why = told[ending][-1]
            preparation.leave(str(path), why, like_a_clip=why not in (kind.other, NOTHING))
    if not clips:
        others = "; ".join(preparation.told()) or "there are no files"
        raise UserError(
            f"no {kind.name} under {root}: {others}. Looked for {', '.join(sorted(kind.endings))}"
        )
    real = cache(os.path.realpath)  # of folders, of which there are few
    ends = {str(path): _end(root / path, real) for path in clips}
    lost = _astray(root, ends, preparation.also)
    preparation.pass_over(lost, "linked to nothing, or out of the root")
    preparation.notes += _twice({path: end for path, end in ends.items() if path not in lost})
    return _named([path for path in clips if str(path) not in lost])


def visible(root: Path, kind: str = "files") -> list[PurePosixPath]:
    """All files under `root`, relative to it, in order, without hidden ones.

    Raises:
        UserError: no folder, or one that cannot be listed.
    """
    if not root.is_dir():
        raise UserError(f"{root} is not a folder; give the one that holds the {kind}")
    found = map(PurePosixPath, _walk(root, "", ()))
    return sorted(found, key=lambda path: path.parts)


def seen(root: Path, pattern: str) -> list[Path]:
    """What matches below `root`, in order, without hidden files and what lies in hidden folders."""
    return sorted(
        path
        for path in root.glob(pattern)
        if not any(part.startswith(".") for part in path.relative_to(root).parts)
    )


def _walk(root: Path, below: str, around: Sequence[str]) -> Iterator[str]:
    """The visible files in a folder and below; a link to a folder around it is not gone into."""
    folder = os.path.join(root, below)
    around = [*around, os.path.realpath(folder)]
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise UserError(f"cannot list {folder}: {error.strerror}; allow it, or move it") from error
    for entry in entries:
        path = os.path.join(below, entry.name)
        if entry.name.startswith("."):
            continue
        link = entry.is_symlink()
        if not (os.path.isdir(entry.path) if link else entry.is_dir()):  # no error of a loop
            if link or entry.is_file():
                yield path
        elif not link or os.path.realpath(entry.path) not in around:
            yield from _walk(root, path, around)


def _why(file: Path, ending: str, kind: Kind) -> str:
    """Why a file of this ending is left out."""
    if ending in kind.foreign:
        return f"{kind.name} that nothing here reads; {kind.remedy}"
    if not file.exists():
        return NOTHING
    try:
        kind.probe(file)
    except (FileError, OSError):
        return kind.other
    return f"{kind.name} by its content, but of an unknown ending; rename it"


def _astray(root: Path, ends: Mapping[str, str], also: Sequence[Path]) -> dict[str, str]:
    """Path -> what is wrong with it, of those whose ends are out of the root, or nowhere."""
    inside = [os.path.realpath(folder) for folder in (root, *also)]
    lost = {path: f"{path} is a link to {end}, which is not there; fetch it, or remove the link"
            for path, end in ends.items() if not os.path.exists(end)}  # fmt: skip
    out = {
        path: end
        for path, end in ends.items()
        if path not in lost and not any(PurePosixPath(end).is_relative_to(own) for own in inside)
    }
    folder = os.path.commonpath([os.path.dirname(end) for end in out.values()]) if out else ""
    return lost | {
        path: f"{path} leads to {end}, outside {root}; give --also_inside {folder}"
        for path, end in out.items()
    }


def _twice(ends: Mapping[str, str]) -> list[str]:
    """What is said of files that are met twice, by links."""
    first: dict[str, str] = {}
    again = [(path, first.setdefault(end, path)) for path, end in ends.items()]
    if not (pairs := [pair for pair in again if pair[0] != pair[1]]):
        return []
    one, other = pairs[0]
    return [
        f"{len(pairs)} files are there twice by links, such as {other} and {one}: they may be both "
        "trained and tested on; remove the links that are not meant"
    ]


def _end(file: Path, real: Callable[[Path], str]) -> str:
    """Where a path ends when all links on it are followed."""
    end = os.path.join(real(file.parent), file.name)
    return os.path.realpath(end) if os.path.islink(end) else end


def _named(paths: list[PurePosixPath]) -> list[PurePosixPath]:
    if odd := [path for path in paths if not _is_utf8(str(path))]:
        raise UserError(f"{len(odd)} file name(s) are not UTF-8, such as {odd[0]!r}; rename them")
    return paths


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
