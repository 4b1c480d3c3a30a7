"""Your own recordings and their annotations: a clip for each row of a table.

calls.csv with path,start,end,label      and whatever other columns: --task makes tasks of them
a.wav, a.Table.1.selections.txt          Raven's selection tables, one a sound or one for all
a.wav, a.txt                             Audacity's label tracks, one beside each sound
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any

from audioinv.audio.annotations import FORMATS, Annotation, read_annotations
from audioinv.audio.io import ENDINGS, AudioInfo, probe
from audioinv.base.errors import UserError
from audioinv.data.download import Download
from audioinv.data.labels import is_list
from audioinv.data.later import pandas as pd
from audioinv.data.lists import choice, draw_split, probed, write_table
from audioinv.data.manifest import SHOWN_PROBLEMS, Corpus
from audioinv.data.own_tasks import own_tasks
from audioinv.data.paths import leaves_root
from audioinv.data.preparing import current, going_on
from audioinv.data.task import KINDS
from audioinv.data.tree import label_tasks, part_of
from audioinv.data.walk import seen, visible

NAME = "table"
TITLE = "Annotated recordings"
LICENCE = "as its owner says"
SOURCE = "your own folder"
DESCRIPTION = "recordings with start, end and label of each clip: Raven, Audacity or CSV"
ACCESS = "your own: give the folder of the sounds as --root to 'audioinv prepare'"
HOURS = 0.0
SAMPLE_RATE = 0
DERIVED = ["sample_rate"]  # a file says it itself
FEWEST = 10  # recordings of which one in ten can be held out


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The tables, and what is in them."""
    parser.add_argument(
        "--table",
        help="a file of annotations, or a folder, whose .txt files are read (default: the root)",
    )
    parser.add_argument(
        "--format", default="auto", help=f"{', '.join(FORMATS)} (default auto: by the first line)"
    )
    parser.add_argument(
        "--label", default="", help="column of the labels (default: label, or Raven's Annotation)"
    )
    parser.add_argument(
        "--task",
        action="append",
        default=[],
        metavar="COLUMN[:KIND[:SEPARATOR]]",
        help=f"a column to learn, and its kind: {', '.join(KINDS)} (default {KINDS[0]}); what "
        "stands between several labels of a multilabel one (default ;); may be given several times "
        "(default: the labels)",
    )
    parser.add_argument(
        "--groups",
        default="",
        metavar="COLUMN",
        help="each task also as COLUMN held out: no value of it is both trained and tested on",
    )


def downloads() -> tuple[Download, ...]:
    """Nothing: the recordings are the user's own."""
    return ()


def prepare(
    root: str | Path,
    out: str | Path,
    seed: int = 0,
    table: str | Path | None = None,
    format: str = "auto",
    label: str = "",
    task: Sequence[str] = (),
    groups: str = "",
) -> Path:
    """Writes manifest.csv and corpus.json of the annotated stretches into `out`.

    A CSV's `split` or `fold` counts. Else ten recordings and more are split 80/10/10, each whole;
    of fewer each is a fold; one alone is all for training.

    Args:
        root: folder of the sounds.
        table: a file of annotations, or a folder whose .txt files are read; None is the root.
        format: "csv", "raven", "audacity", or "auto" to tell by the first line.
        label: the column of the labels; "" as of `read_annotations`.
        task: columns to learn, as "species", "distance:regression" or "tags:multilabel:|"; none
            takes the labels. groups: a column whose values are held out in turn, in a further task
            of each.

    Returns:
        the manifest's path.

    Raises:
        UserError: no such table, sound or column, a kind that is none, or rows that are wrong: each
            with file and line.
    """
    root = Path(root)
    choice("format", format, FORMATS)
    if not root.is_dir():
        raise UserError(f"{root} is not a folder; give the one that holds the sounds as --root")
    tables = _tables(root if table is None else Path(table))
    with going_on():
        rows = [row for file in tables for row in read_annotations(file, format, label)]
        if not rows:
            raise UserError(f"{tables[0]} has no rows; give a table with at least one")
        frame = _split(_checked(root, rows), seed)
        rate = int(frame["sample_rate"].mode()[0])
        frame, tasks = own_tasks(frame, task, groups) if task or groups else (frame, None)
        tasks = label_tasks(frame) if tasks is None else tasks
        corpus = Corpus(NAME, root.resolve().name, SOURCE, LICENCE, "", rate, tasks)
        return write_table(root, out, frame, corpus)


def _tables(given: Path) -> list[Path]:
    if not given.is_dir():
        return [given]
    found = seen(given, "**/*.txt")
    if not found:
        raise UserError(f"no .txt files under {given}; give --table FILE, or the folder of them")
    return found


def _checked(root: Path, rows: Sequence[Annotation]) -> pd.DataFrame:
    """The manifest's rows, without a split."""
    known = _Sounds(root)
    paths = _each(known.path, rows)
    if idle := len({path.as_posix() for path in known.paths}.difference(paths)):
        current().notes.append(f"{idle} sounds under {root} are in no row of the tables")
    sounds, found = probed(root, pd.DataFrame({"path": list(dict.fromkeys(paths))}), probe)
    infos = dict(zip(sounds["path"], found, strict=True))
    rows = [row for row, path in zip(rows, paths, strict=True) if path in infos]
    paths = [path for path in paths if path in infos]
    times = _each(partial(_times, infos), rows, paths)
    further = pd.DataFrame([row.further for row in rows]).drop(columns=DERIVED, errors="ignore")
    counts = pd.Series(paths).groupby(paths).cumcount()
    first = pd.DataFrame(
        {
            "id": [f"{path}:{count}" for path, count in zip(paths, counts, strict=True)],
            "path": paths,
            "start": [start for start, _ in times],
            "duration": [duration for _, duration in times],
            "sample_rate": [infos[path].sample_rate for path in paths],
        }
    )
    if "id" in further:
        first["id"] = further.pop("id")
    labels = {"label": [row.label for row in rows]} if any(row.label for row in rows) else {}
    return pd.concat([first, further], axis=1).assign(**labels)


def _each(look: Callable[..., Any], rows: Sequence[Annotation], *more: Sequence[Any]) -> list[Any]:
    """`look` of every row.

    Raises:
        UserError: `look` raised one for some rows; the message has the first of them.
    """
    found, problems = [], []
    for given in zip(rows, *more, strict=True):
        try:
            found.append(look(*given))
        except UserError as error:
            problems.append(str(error))
    if problems:
        shown, rest = "; ".join(problems[:SHOWN_PROBLEMS]), len(problems) - SHOWN_PROBLEMS
        more_told = f"; and {rest} more" if rest > 0 else ""
        raise UserError(f"{len(problems)} of {len(rows)} rows are wrong: {shown}{more_told}")
    return found


def _times(infos: Mapping[str, AudioInfo], row: Annotation, path: str) -> tuple[float, float]:
    if is_list(row.label):
        raise row.wrong(f"label is the list {row.label}; write several labels as a;b")
    return row.span(infos[path].frames / infos[path].sample_rate)


class _Sounds:
    """The sounds under a root, by the names that tables give them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths = [Path(path) for path in visible(root) if path.suffix.lower() in ENDINGS]
        self.named: dict[str, list[Path]] = {}
        for path in self.paths:
            self.named.setdefault(path.name, []).append(path)

    def path(self, row: Annotation) -> str:
        """The one sound of a row, relative to the root, posix.

        Raises:
            UserError: there is none, or there are several.
        """
        name = row.sound.replace("\\", "/")  # Raven writes the paths of its own machine
        if name and not leaves_root(name) and (self.root / name).is_file():
            return PurePosixPath(name).as_posix()
        found = self._like(PurePosixPath(name)) if name else self._beside(row.file)
        if len(found) > 1:
            folder = row.file.resolve().parent
            found = [p for p in found if (self.root / p).resolve().parent == folder] or found
        if len(found) == 1:
            return found[0].as_posix()
        what = row.sound or f"sound named like {row.file.name}"
        if found:
            shown = " and ".join(path.as_posix() for path in found[:2])
            raise row.wrong(f"{what} may be {shown}; give the path from {self.root}")
        if row.sound and not leaves_root(name) and current().on_error == "skip":
            return name  # which is left out, as all that cannot be read
        raise row.wrong(
            f"no {what} under {self.root}; give its folder as --root, or leave it out by "
            "--on_error skip"
        )

    def _like(self, given: PurePosixPath) -> list[Path]:
        """Those of its name, in folders of its folders' names as far as any are."""
        found = [(_alike(given.parts, p.parts), p) for p in self.named.get(given.name, [])]
        most = max((parts for parts, _ in found), default=0)
        return [path for parts, path in found if parts == most]

    def _beside(self, table: Path) -> list[Path]:
        """Those whose name the table's begins with: of a.b.txt rather a.b.wav than a.wav."""
        fitting = [p for p in self.paths if table.name.startswith((f"{p.stem}.", f"{p.name}."))]
        longest = max((len(path.stem) for path in fitting), default=0)
        return [path for path in fitting if len(path.stem) == longest]


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    """How many of the last parts of two paths are equal."""
    pairs = zip(reversed(one), reversed(other), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _split(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Neighbours in a recording are alike: none is on two sides."""
    recordings = frame["path"].nunique()
    if "split" in frame:
        return frame.assign(split=[part_of(name) or name for name in frame["split"]])
    if "fold" in frame:
        return frame
    if recordings >= FEWEST:
        return draw_split(frame, seed, whole="path")
    return frame.assign(split="train") if recordings == 1 else frame.assign(fold=frame["path"])
