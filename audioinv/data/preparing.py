"""What `audioinv prepare` was told, and what it leaves out on its way to a manifest.

A corpus' module finds and reads its files through `data.tree` and `data.lists`. They ask here what
to do at a file that is no clip, and `lists.write_table` lists all of those beside the manifest.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from audioinv.base.errors import UserError
from audioinv.base.files import write_text

FILE = "left_out.csv"
ON_ERROR = ("fail", "skip")
SHOWN = 20
UNREADABLE = "cannot be read"


@dataclass(frozen=True)
class LeftOut:
    """A file that is no clip.

    Args:
        path: from the root. why: in a few words. reason: the whole of it.
        like_a_clip: it would be one if it could be read.
    """

    path: str
    why: str
    reason: str
    like_a_clip: bool


@dataclass
class Preparation:
    """One way from files to a manifest.

    Args:
        on_error: at a file that cannot be read, "fail" stops; "skip" leaves it out.
        strict: leave nothing out, whatever the reason.
        also: folders outside the root that links may lead to.
        left_out: what is, so far. notes: what else a user should know.

    Raises:
        UserError: another `on_error`, or a folder that is none.
    """

    on_error: str = "fail"
    strict: bool = False
    also: tuple[Path, ...] = ()
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.on_error not in ON_ERROR:
            raise UserError(f"on_error is '{self.on_error}'; give {' or '.join(ON_ERROR)}")
        for folder in self.also:
            if not folder.is_dir():
                raise UserError(f"--also_inside {folder} is not a folder")

    def leave(self, path: str, why: str, reason: str = "", like_a_clip: bool = True) -> None:
        """Notes that a file is left out; the arguments are those of `LeftOut`."""
        self.left_out.append(LeftOut(path, why, reason or why, like_a_clip))

    def pass_over(self, problems: Mapping[str, str], what: str = UNREADABLE) -> None:
        """Leaves out what is wrong, path -> reason.

        Raises:
            UserError: that was not asked for; the message names up to SHOWN.
        """
        if problems and self.on_error == "fail":
            told = "; ".join(list(problems.values())[:SHOWN])
            more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
            raise UserError(
                f"{len(problems)} file(s), {what}: {told}{more}. Mend them, or leave them out by "
                "--on_error skip"
            )
        for path, reason in problems.items():
            self.leave(path, what, reason)

    def check(self) -> None:
        """Raises a UserError if something was left out and `strict` forbids it."""
        if self.strict and self.left_out:
            told = "; ".join(self.told())
            raise UserError(
                f"--strict, and {len(self.left_out)} files would be left out: {told}. Mend, rename "
                "or remove them, or leave out --strict"
            )

    def told(self) -> list[str]:
        """What was left out, a line for each ending and reason, the commonest first."""
        kinds = Counter((ending_of(each.path), each.why) for each in self.left_out)
        first = {(ending_of(each.path), each.why): each.path for each in reversed(self.left_out)}
        return [
            f"{ending}: {n}, such as {first[ending, why]}: {why}"
            for (ending, why), n in kinds.most_common()
        ]

    def write(self, folder: Path) -> None:
        """Lists what was left out in FOLDER/left_out.csv; without any, an old list goes."""
        if not self.left_out:
            (folder / FILE).unlink(missing_ok=True)
            return
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["path", "reason"])
        writer.writerows([each.path, each.reason] for each in self.left_out)
        write_text(folder / FILE, table.getvalue())


_RUNNING: ContextVar[Preparation | None] = ContextVar("preparation", default=None)


@contextmanager
def preparing(
    on_error: str = "fail", strict: bool = False, also: Sequence[str | Path] = ()
) -> Iterator[Preparation]:
    """What a corpus' `prepare` is to do at files that are no clips.

        with preparing(on_error="skip") as preparation:
            folder.prepare(root, out)
        print(preparation.told())

    Args:
        on_error, strict, also: as of `Preparation`.
    """
    own = Preparation(on_error, strict, tuple(Path(folder) for folder in also))
    token = _RUNNING.set(own)
    try:
        yield own
    finally:
        _RUNNING.reset(token)


@contextmanager
def going_on() -> Iterator[Preparation]:
    """The preparation that goes on, or a new one for whoever calls `prepare` without any."""
    if running := _RUNNING.get():
        yield running
        return
    with preparing() as own:
        yield own


def current() -> Preparation:
    """The preparation that goes on; without any, one that stops at every fault."""
    return _RUNNING.get() or Preparation()


def ending_of(path: str) -> str:
    """The ending of a file's name, in lower case."""
    return PurePosixPath(path).suffix.lower() or "no ending"
