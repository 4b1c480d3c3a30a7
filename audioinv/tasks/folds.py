"""A task on a pack: targets, and which rows are trained, chosen and tested on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.near import meant_by, unknown
from audioinv.base.randomness import generator
from audioinv.core.augmentation import Augmentation
from audioinv.data.labels import label_texts
from audioinv.data.pack import Pack
from audioinv.data.parts import MOST_GROUP_FOLDS as MOST_GROUP_FOLDS
from audioinv.data.parts import parts
from audioinv.data.task import Task
from audioinv.tasks.labelled import Labelled

SCORED_ON = ("test", "valid")


def find_tasks(pack: Pack, names: list[str] | None) -> list[Task]:
    """The named tasks of the pack's corpus; None means all.

    Raises:
        UserError: no such task, or a corpus without any.
    """
    known = {task.name: task for task in pack.corpus.tasks}
    if not known:
        raise UserError(f"corpus {pack.corpus.name} has no labels to make a task of")
    others = [name for name in names or [] if name not in known]
    if others:
        near = meant_by(others, known)
        raise UserError(f"unknown task {', '.join(others)}; the pack has {', '.join(known)}{near}")
    return [known[name] for name in names or known]


def task_parameters(task: Task, augmentation: Augmentation, n: int) -> Tensor:
    """Parameters (n, P) of a task over an augmentation, one row a clip.

    They are keyed by the task alone: every method sees the same clips. The target is the column of
    `target_index`.
    """
    return augmentation.sample(n, generator(0, "task", task.name))


def target_index(task: Task, augmentation: Augmentation) -> int:
    """Which parameter of its augmentation a task predicts: the one it names, else the first."""
    names = [parameter.name for parameter in augmentation.parameters]
    return names.index(task.label) if task.label in names else 0


def folds(
    pack: Pack, task: Task, drawn: Tensor | None, score_on: str = "test"
) -> Iterator[tuple[Labelled, Tensor]]:
    """The folds of a task: what may be learnt from, and the test rows.

    One fold by the task's split, or the manifest's; one a fold number, where the manifest has
    folds; or, with `task.groups`, at most three folds over its values, each tested on values never
    trained on.
    Validation rows are held out in the same way as test rows: the next fold's.

    Args:
        drawn: targets (n,) of a task over an augmentation, else None.
        score_on: "valid" hides the test rows and scores on the validation rows instead, which then
            choose nothing: for settings that are tuned by hand.

    Raises:
        UserError: a fold without training or scored clips, or another `score_on`.
    """
    if score_on not in SCORED_ON:
        raise unknown("score_on", score_on, SCORED_ON)
    targets, classes = task_targets(pack, task, drawn)
    for train, valid, test in parts(pack.frame, task):
        if score_on == "valid":
            valid, test = np.zeros_like(valid), valid
        labelled = Labelled(targets, task.kind, classes, _rows(train), _rows(valid))
        if len(labelled.train) == 0 or not test.any():
            raise UserError(
                f"task {task.name}: a fold has no training or no {score_on} clips; give the "
                "manifest some, or the task a split of its own"
            )
        labelled.check_values(task.name)
        yield labelled, _rows(test)


def task_targets(pack: Pack, task: Task, drawn: Tensor | None) -> tuple[Tensor, list[str]]:
    """Targets of every clip and the names of the classes.

    Class indices (n,), 0/1 labels (n, classes) of 8 bits each, or values: (n,), or (n, D) where
    there are several. A clip that the task leaves out has -1, no label, or NaN.

    Raises:
        UserError: no clip has a label.
    """
    if drawn is not None:
        return drawn, []
    texts = label_texts(pack.frame[task.label], task.kind == "multilabel")
    if not (texts != "").any():
        raise UserError(
            f"task {task.name}: no clip has a label in the column {task.label}; give some, or "
            "leave the task out by tasks=[...]"
        )
    if task.kind == "regression":
        return _values(texts), []
    if task.kind == "multilabel":
        return _label_matrix(texts)
    codes, classes = pd.factorize(texts.where(texts != ""), sort=True)
    return torch.from_numpy(codes.astype(np.int64)), [str(name) for name in classes]


def _values(texts: pd.Series[str]) -> Tensor:
    """The numbers of texts "1;2", (n,) or (n, D); NaN where there are none."""
    width = texts.str.count(";").max() + 1
    nothing = ";".join(["nan"] * width)
    rows = texts.where(texts != "", nothing).str.split(";")
    return torch.tensor([[float(v) for v in row] for row in rows]).squeeze(1)


def _label_matrix(column: pd.Series[str]) -> tuple[Tensor, list[str]]:
    """0/1 labels (n, classes), uint8, of texts "a;b", and the names of the classes."""
    said = pd.Series(";".join(column).split(";"))
    owner = np.repeat(np.arange(len(column)), column.str.count(";") + 1)[said != ""]
    codes, classes = pd.factorize(said[said != ""], sort=True)
    targets = torch.zeros(len(column), len(classes), dtype=torch.uint8)
    targets[torch.from_numpy(owner), torch.from_numpy(codes.astype(np.int64))] = 1
    return targets, [str(name) for name in classes]


def _rows(mask: np.ndarray) -> Tensor:
    return torch.from_numpy(np.flatnonzero(mask))
