"""Tasks that a user names by columns of a table: "species", "distance:regression"."""

from __future__ import annotations

from collections.abc import Sequence

from audioinv.base.errors import UserError
from audioinv.base.near import meant, unknown
from audioinv.data.labels import SEPARATOR
from audioinv.data.later import pandas as pd
from audioinv.data.task import KINDS, Task
from audioinv.data.tree import label_tasks


def own_tasks(
    frame: pd.DataFrame, asked: Sequence[str], groups: str = ""
) -> tuple[pd.DataFrame, tuple[Task, ...]]:
    """The table with several labels of a clip separated as tasks have them, and the tasks.

    Args:
        frame: rows of a manifest. asked: COLUMN, COLUMN:KIND or COLUMN:multilabel:SEPARATOR each;
            none stands for the labels. groups: a column; each task comes twice then, the second
            called NAME_unseen_GROUPS, where no value of the column is both trained and tested on.

    Raises:
        UserError: a column that is not there or is named twice, an unknown kind, a separator of
            another kind, a value of a regression that is no number, or no task at all.
    """
    tasks = []
    for text in asked:
        name, _, rest = text.partition(":")
        kind, _, separator = rest.partition(":")
        kind = kind or KINDS[0]
        _check_column(frame, name, f"--task {text}")
        if kind not in KINDS:
            raise unknown(f"--task {text}: the kind", kind, KINDS)
        if separator and kind != "multilabel":
            raise UserError(f"--task {text}: a {kind} has no separator; leave ':{separator}' out")
        if separator and separator != SEPARATOR:
            frame = frame.assign(
                **{name: frame[name].fillna("").map(lambda v, s=separator: _joined(v, s))}
            )
        if kind == "regression":
            _check_numbers(frame[name], text)
        tasks.append(Task(name, name, kind))
    found = tuple(tasks) if asked else label_tasks(frame)
    names = [task.name for task in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UserError(f"--task {', '.join(sorted(twice))} is given twice; give it once")
    if not found:
        raise UserError("--groups needs tasks, and there are no labels; give --task COLUMN")
    if not groups:
        return frame, found
    _check_column(frame, groups, f"--groups {groups}")
    unseen = [Task(f"{t.name}_unseen_{groups}", t.label, t.kind, groups) for t in found]
    return frame, (*found, *unseen)


def _joined(value: object, separator: str) -> str:
    """Labels separated as tasks have them."""
    return SEPARATOR.join(part.strip() for part in str(value).split(separator) if part.strip())


def _check_column(frame: pd.DataFrame, name: str, what: str) -> None:
    if name not in frame:
        columns = [str(column) for column in frame]
        raise UserError(
            f"{what}: the table has no column {name}; it has {', '.join(columns)}"
            f"{meant(name, columns)}"
        )


def _check_numbers(values: pd.Series, text: str) -> None:
    """Each is a number, several joined by the separator, or empty."""
    for value in values[values.notna()].astype(str):
        parts = value.split(SEPARATOR) if value.strip() else []
        if not all(_is_number(part) for part in parts):
            raise UserError(
                f"--task {text}: '{value}' is no number; mend it, or leave ':regression' out"
            )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
