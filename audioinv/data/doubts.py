"""What makes a task hard or impossible to learn, though nothing in its manifest is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from audioinv.base.errors import UserError
from audioinv.data.labels import SEPARATOR, clean, label_texts
from audioinv.data.later import pandas as pd
from audioinv.data.parts import Mask, labelled, parts
from audioinv.data.table import as_text
from audioinv.data.task import Task

SHOWN = 5


def doubts(frame: pd.DataFrame, tasks: Sequence[Task]) -> list[str]:
    """What `task_doubts` tells of those tasks whose columns are there."""
    return [
        f"task {task.name}: {line}"
        for task in tasks
        if set(task.columns) <= set(frame)
        for line in task_doubts(frame, task)
    ]


def task_doubts(frame: pd.DataFrame, task: Task) -> list[str]:
    """Sentences on the labels of a task and on what its test clips need of its training clips.

    Args:
        frame: of a manifest or a pack, with the columns that the task reads.
    """
    if task.augmentation is not None:
        return []
    known = labelled(frame, task)
    told = list(_written(frame, task))
    if not known.any():
        return [*told, f"no clip has a label in the column {task.label}"]
    if not known.all():
        lacks = ["label", *(["group"] if task.groups else []), *(["part"] if task.split else [])]
        told.append(
            f"{(~known).sum()} of {len(known)} clips have no {' or '.join(lacks)} and are left out"
        )
    told += _values(label_texts(frame[task.label], task.kind == "multilabel"), known, task)
    return told + list(_parted(frame, task))


def _written(frame: pd.DataFrame, task: Task) -> Iterator[str]:
    """How labels are written."""
    raw = as_text(frame[[task.label]].drop_duplicates())[task.label]
    texts = label_texts(raw, task.kind == "multilabel")
    changed = raw[(raw != texts) & (task.kind != "regression")]
    if len(changed):
        yield (
            f"{len(changed)} labels are read without the blanks around them (or in composed "
            f"signs), such as {changed.iloc[0]!r}"
        )
    if task.kind == "classification":
        joined = texts[texts.str.contains(SEPARATOR)]
        if len(joined):
            yield (
                f"{len(joined)} labels hold several, such as {joined.iloc[0]!r}, and each is taken "
                'for a class of its own; give the task the kind "multilabel" in corpus.json'
            )
        if both := _joined(set(texts)):
            yield (
                f"{both[0]!r} may be several labels, each of which others have alone, and is taken "
                "for a class of its own; write several labels as a;b"
            )
    if task.kind != "regression":
        names = pd.Series(";".join(texts.unique()).split(SEPARATOR) if len(texts) else [""])
        names = names.drop_duplicates()
        alike = names[names.str.casefold().duplicated(keep=False)]
        if len(alike):
            yield f"labels differ in capitals alone: {_some(sorted(alike))}"


def _joined(names: set[str]) -> list[str]:
    """Names that others of them make, with some sign between: "a|b" of "a" and "b"."""
    apart = {name: [clean(part) for part in re.split(r"[,|/+&]", name)] for name in names}
    return sorted(name for name, several in apart.items() if several[1:] and names >= {*several})


def _values(texts: pd.Series, known: Mask, task: Task) -> Iterator[str]:
    """How many labels there are, and of how many clips."""
    counts = texts[known].value_counts()
    if len(counts) == 1:
        what = "has no label" if counts.index[0] == "" else f"is labelled {counts.index[0]!r}"
        yield f"every clip {what}: there is nothing to learn"
    elif task.kind == "classification" and len(single := counts.index[counts == 1]):
        yield (
            "classes of a single clip, which cannot be both trained and tested on: "
            f"{_some(sorted(single))}"
        )


def _parted(frame: pd.DataFrame, task: Task) -> Iterator[str]:
    """What the parts lack."""
    texts = label_texts(frame[task.label], task.kind == "multilabel").to_numpy()
    unseen: set[str] = set()
    empty: dict[str, None] = {}
    try:
        for train, valid, test in parts(frame, task):
            empty |= dict.fromkeys(
                name for name, mask in (("training", train), ("test", test)) if not mask.any()
            )
            if train.any():
                unseen |= _names(texts[test], task) - _names(texts[train | valid], task)
    except UserError as error:
        yield str(error)
    for name in empty:
        yield f"there are no {name} clips"
    if unseen and task.kind != "regression":
        yield (
            f"classes that are tested on and never trained on: {_some(sorted(unseen))}; "
            'give the task a column of its own that splits them, by "split" in corpus.json'
        )


def _names(texts: np.ndarray, task: Task) -> set[str]:
    if task.kind == "multilabel":
        return {name for text in set(texts) for name in text.split(SEPARATOR)} - {""}
    return set(texts)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
