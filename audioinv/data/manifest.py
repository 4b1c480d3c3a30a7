"""The manifest: one row a clip, whatever its modality, and the corpus it belongs to.

`<dir>/manifest.csv` (small, readable in a diff) or `.parquet` (large), beside `<dir>/corpus.json`.
Columns: id, path (posix, relative to the corpus' root), the numbers that its modality wants, split
(train, valid or test) or fold, and one column per label.

Of audio the numbers are start and duration in seconds and sample_rate in Hz; of images, index: the
record's number in a file that holds many, 0 in an ordinary image file. A clip that a front end
renders is its factors, and has no file: `path` is that of corpus.json, which describes them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audioinv.base.checked import checked
from audioinv.base.errors import UserError
from audioinv.base.files import read_json, write_json
from audioinv.data.labels import is_list
from audioinv.data.later import pandas as pd
from audioinv.data.modality import registered
from audioinv.data.paths import leaves_root, path_inside
from audioinv.data.rules import Rule, number
from audioinv.data.table import as_text, read_table, write_table
from audioinv.data.task import Task

SPLITS = ("train", "valid", "test")
SHOWN_PROBLEMS = 20


@dataclass(frozen=True)
class Corpus:
    """What a manifest describes.

    Args:
        name: for folders, for example "fsdd".
        title: for people.
        source: where to get it.
        licence: of the files.
        root: folder the manifest's paths are relative to; itself relative to the manifest's folder,
            or absolute.
        sample_rate: in Hz, of the files as published; 0 where they have none.
        tasks: what can be learnt from the labels.
        modality: its name.

    Raises:
        UserError: another modality.
    """

    name: str
    title: str
    source: str
    licence: str
    root: str
    sample_rate: int = 0
    tasks: tuple[Task, ...] = ()
    modality: str = "audio"

    def __post_init__(self) -> None:
        try:
            registered(self.modality)
        except UserError as error:
            raise UserError(f"corpus {self.name}: {error}") from error

    def to_json(self) -> dict[str, Any]:
        """The fields as a dictionary."""
        return {**vars(self), "tasks": [task.to_json() for task in self.tasks]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Corpus:
        """The corpus that `to_json` described.

        Raises:
            UserError: a field is missing or unknown.
        """
        what = "the description of a corpus"
        texts = dict.fromkeys(("name", "title", "source", "licence", "root"), str)
        fields = checked(value, what, **texts, sample_rate=int, tasks=list)
        checked({"modality": "audio", **fields}, what, modality=str)  # older ones do not tell it
        try:
            tasks = tuple(Task.from_json(task) for task in fields["tasks"])
            return cls(**{**fields, "tasks": tasks})
        except TypeError as error:
            raise UserError(f"not {what}: {error}") from error


@dataclass(frozen=True)
class Problem:
    """Something wrong with a row (or, with id "", with the whole table)."""

    id: str
    path: str
    kind: str
    message: str

    def __str__(self) -> str:
        return f"{self.id}: {self.message}" if self.id else self.message


@dataclass(frozen=True)
class Manifest:
    """A table of examples, its corpus, and the folder the paths are relative to.

    They stay inside it, or lead into one of the folders `also`: absolute, by .., or by a symbolic
    link.
    """

    frame: pd.DataFrame
    corpus: Corpus
    root: Path
    also: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return len(self.frame)

    def path(self, row: Mapping[str, Any] | pd.Series) -> Path:
        """The file of a row.

        Raises:
            UserError: the path, or a symbolic link on it, leads anywhere else.
        """
        return path_inside(self.root, str(row["path"]), self.also)


def read_manifest(
    path: str | Path,
    root: str | Path | None = None,
    *,
    also: Sequence[str | Path] = (),
    strict: bool = True,
) -> Manifest:
    """Reads a manifest (CSV or Parquet, by its ending) and the corpus.json beside it.

    Start, duration and labels of regression tasks come as float64, sample_rate and index as int64,
    all others as strings (also regression labels of several numbers); a missing label is "", or NaN
    among numbers.

    Args:
        path: of the table, or the folder that it is the manifest of.
        root: folder of the files; None takes the one in corpus.json.
        also: folders that paths may lead to besides.
        strict: raise on a bad table; False leaves that to `validate`.

    Raises:
        UserError: a file is missing or cannot be read, the root or another folder is none, or
            (strict) the table has problems: one message tells them all.
    """
    path = _table_at(Path(path))
    corpus = Corpus.from_json(read_json(path.parent / "corpus.json"))
    folder = Path(root) if root is not None else path.parent / corpus.root
    if not folder.is_dir():
        raise UserError(f"the files' root {folder} is not a folder; give --root")
    others = tuple(Path(other) for other in also)
    for other in others:
        if not other.is_dir():
            raise UserError(f"--also_inside {other} is not a folder")
    text = read_table(path)
    if strict:
        _refuse(path, table_problems(text, corpus, bool(others)))
    return Manifest(_typed(text, corpus), corpus, folder, others)


def write_manifest(
    out_dir: str | Path, frame: pd.DataFrame, corpus: Corpus, ending: str = ".csv"
) -> Path:
    """Writes corpus.json and manifest.csv (or `ending` ".parquet"); returns the manifest's path.

    Raises:
        UserError: the table has problems (see `read_manifest`), or a file cannot be written.
    """
    path = Path(out_dir) / f"manifest{ending}"
    text = as_text(frame)
    _refuse(path, table_problems(text, corpus))
    typed = _typed(text, corpus)
    write_json(path.parent / "corpus.json", corpus.to_json())
    write_table(path, typed)
    return path


def table_problems(frame: pd.DataFrame, corpus: Corpus, may_leave: bool = False) -> list[Problem]:
    """Everything wrong with the table itself; the files are `validate`'s.

    Args:
        may_leave: paths may leave the root; where they end is seen when they are opened.
    """
    text = as_text(frame)
    wanted = ["id", "path", *registered(corpus.modality).columns, *_label_columns(corpus)]
    missing = [name for name in wanted if name not in text]
    reserved = [name for name in ("samples", "n_samples") if name in text]
    if "split" not in text and "fold" not in text:
        missing.append("split (or fold)")
    problems = [Problem("", "", "column", f"column {name} is missing") for name in missing]
    problems += [
        Problem("", "", "column", f"column {name} is the pack's; rename it") for name in reserved
    ]
    if len(text) == 0:
        problems.append(Problem("", "", "empty", "the table has no rows"))
    else:
        for rule in [*_rules(corpus, may_leave), *_label_rules(corpus)]:
            if rule.column in text:
                rows = text[rule.is_bad(text[rule.column]).astype(bool)]
                problems += [_problem(row, rule) for _, row in rows.iterrows()]
    return problems


def stratified_validation(
    frame: pd.DataFrame,
    label: str | Sequence[str],
    fraction: float,
    seed: int,
    part: str = "valid",
) -> pd.DataFrame:
    """Marks `fraction` of the rows with split "train" as `part`, evenly over the label's values.

    A stratum is one value of `label` (one combination, with several columns; everything, with
    none). Each gives its share, rounded up or down, chosen by a hash of seed and id; none its only
    row.

    Raises:
        UserError: the fraction is not in (0, 1).
    """
    if not 0 < fraction < 1:
        raise UserError(f"the validation fraction is {fraction}; give one in (0, 1)")
    columns = [label] if isinstance(label, str) else list(label)
    train = frame[frame["split"] == "train"]
    order = train[columns].assign(_key=[keyed_hash(seed, name) for name in train["id"]])
    if columns:
        order = order[order.groupby(columns)["_key"].transform("size") > 1]
    order = order.sort_values([*columns, "_key"])
    # Every 1/fraction-th row down the strata: each gets its share, and the whole its share too.
    steps = np.floor(np.arange(len(order) + 1) * fraction + 1e-9)
    marked = frame.copy()
    marked.loc[order.index[np.diff(steps) > 0], "split"] = part
    return marked


def keyed_hash(seed: int, name: str) -> str:
    """By which rows are put into a random order: the same for a name wherever it stands."""
    return hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()


def _label_columns(corpus: Corpus) -> list[str]:
    """Columns that the corpus' tasks read."""
    return list(dict.fromkeys(name for task in corpus.tasks for name in task.columns))


def _regression_columns(corpus: Corpus) -> list[str]:
    return [t.label for t in corpus.tasks if t.kind == "regression" and t.augmentation is None]


def _problem(row: pd.Series, rule: Rule) -> Problem:
    name = row.get("id") or f"row {row.name}"
    message = f"{rule.column} is '{row[rule.column]}'; {rule.advice}"
    return Problem(str(name), str(row.get("path", "")), rule.kind, message)


RULES: tuple[Rule, ...] = (
    Rule("id", "id", lambda c: c == "", "give every row an id"),
    Rule("id", "duplicate id", lambda c: c.duplicated() & (c != ""), "another row has it"),
    Rule("path", "path", lambda c: (c == "") | c.str.contains("\0"), "give a path"),
    Rule("split", "split", lambda c: ~c.isin(SPLITS), f"give {', '.join(SPLITS)}"),
    Rule("fold", "fold", lambda c: c == "", "give every row a fold"),
)
INSIDE = Rule("path", "path", lambda c: c.map(leaves_root), "give a path inside the root")


def _rules(corpus: Corpus, may_leave: bool) -> list[Rule]:
    """Of the columns that every manifest of the modality has."""
    return [*RULES, *([] if may_leave else [INSIDE]), *registered(corpus.modality).rules]


def readable(manifest: Manifest) -> pd.DataFrame:
    """The rows whose path and numbers allow an attempt to read them, the numbers as numbers."""
    frame, numbers = as_text(manifest.frame), registered(manifest.corpus.modality).columns
    good = pd.Series(True, frame.index)
    for rule in _rules(manifest.corpus, bool(manifest.also)):
        if rule.column == "path" or rule.column in numbers:
            good &= ~rule.is_bad(frame[rule.column]).astype(bool)
    return frame[good].assign(**{name: frame.loc[good, name].map(float) for name in numbers})


def _label_rules(corpus: Corpus) -> list[Rule]:
    """Labels may be empty, which leaves a clip out of the task.

    A regression label is a number, or several joined by ";": as many in every row.
    """
    advice = "a regression task needs a number (or several joined by ';', as many in every row)"
    rules = [Rule(name, "label", _is_no_vector, advice) for name in _regression_columns(corpus)]
    named = [t.label for t in corpus.tasks if t.kind != "regression" and t.augmentation is None]
    lists = lambda c: c.isin([text for text in c.unique() if is_list(text)])  # noqa: E731
    rules += [
        Rule(name, "label", lists, "write several labels as a;b, and make the task multilabel")
        for name in dict.fromkeys(named)
    ]
    splits = {task.split for task in corpus.tasks if task.split}
    parts = f"give {', '.join(SPLITS)}, or nothing where the task leaves the clip out"
    return rules + [
        Rule(name, "split", lambda c: ~c.isin((*SPLITS, "")), parts) for name in sorted(splits)
    ]


def _is_no_vector(column: pd.Series) -> pd.Series:
    """True where a text is not finite numbers joined by ";", as many as most rows have."""
    given = column != ""
    finite = column.map(lambda text: all(math.isfinite(number(v)) for v in text.split(";")))
    counts = column.str.count(";")
    return given & (~finite | (counts != counts[given].mode().get(0, 0)))


def _refuse(path: Path, problems: Sequence[Problem]) -> None:
    if problems:
        shown = "; ".join(str(problem) for problem in problems[:SHOWN_PROBLEMS])
        rest = len(problems) - SHOWN_PROBLEMS
        more = f"; and {rest} more (audioinv validate lists them all)" if rest > 0 else ""
        raise UserError(f"{path!s} has {len(problems)} problem(s): {shown}{more}")


def _typed(text: pd.DataFrame, corpus: Corpus) -> pd.DataFrame:
    """Columns of numbers as numbers; one with a bad value (`strict` let it through) stays text."""
    typed = text.copy()
    modality = registered(corpus.modality)
    for name in (*modality.columns, *_regression_columns(corpus)):
        if name not in text:
            continue
        numbers, empty = text[name].map(number).astype("float64"), text[name] == ""
        if (np.isfinite(numbers) | (empty & (name not in modality.columns))).all():
            typed[name] = numbers.astype("int64" if name in modality.whole else "float64")
    return typed


def _table_at(path: Path) -> Path:
    found = [path / f"manifest{ending}" for ending in (".csv", ".parquet")]
    there = [file for file in found if file.is_file()]
    if len(there) > 1:
        raise UserError(f"{path} has two manifests; remove one, or name the one to read")
    table = (there or found)[0] if path.is_dir() else path
    if not table.exists():
        raise UserError(f"no manifest {table}; give its table, or the folder that prepare wrote")
    return table
