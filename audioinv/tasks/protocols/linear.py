"""Linear readouts of frozen features, as the task's adaptation fitted them; regression alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from audioinv.data.task import Task
from audioinv.tasks.adapted import Adapted
from audioinv.tasks.corners import only, prepare
from audioinv.tasks.folds import folds
from audioinv.tasks.labelled import Labelled
from audioinv.tasks.learn import Learnt
from audioinv.tasks.mixture import FeaturesAt
from audioinv.tasks.protocols import Context, Row, Rows
from audioinv.tasks.result import Result
from audioinv.tasks.scores import score_outputs

ID = "linear-v1"
OutputsOf = Callable[[Adapted, Any, Labelled, Tensor], Tensor]
KEPT = ("mode", "descriptor", "depth", "n_train", "layers", "readout", "seed", "seconds")


def rows(context: Context, settings: None = None) -> Rows:
    """One row for each task and mode."""
    for task, mode, learnt in learnt_tasks(context, context.tasks):
        yield Row(task.name, mode, "linear", partial(row, context, task, learnt))


def learnt_tasks(context: Context, tasks: Iterable[Task]) -> Iterable[tuple[Task, str, Learnt]]:
    """Each of the tasks by each mode, and what it learnt.

    Raises:
        UserError: one has not learnt yet, or from other features.
    """
    for task in tasks:
        for mode in context.modes:
            yield task, mode, context.learnt(task, mode)


def row(context: Context, task: Task, learnt: Learnt) -> Result:
    """Scores of the fitted readouts over the test rows of all folds together."""
    result = scored(context, task, learnt, readout_outputs)
    return replace(result, protocol=id_of(task.kind))


def id_of(kind: str) -> str:
    """The protocol's id, by the task's kind."""
    return "regression-v1" if kind == "regression" else ID


def readout_outputs(fold: Adapted, features_at: FeaturesAt, data: Labelled, test: Tensor) -> Tensor:
    """Outputs (n, m) of the readout on test rows."""
    prepare(features_at, fold.mixture.descriptors, test)
    return fold.readout.scores(fold.mixture.features(only(features_at, test)))


def scored(
    context: Context,
    task: Task,
    learnt: Learnt,
    outputs_of: OutputsOf,
    rows: Tensor | None = None,
) -> Result:
    """`scored_on` of the features that a protocol works on."""
    cache, drawn = context.features.of(task)
    parts = folds(context.pack, task, drawn, context.score_on)
    return scored_on(cache, parts, task, learnt, outputs_of, rows)


def scored_on(
    features_at: FeaturesAt,
    parts: Iterable[tuple[Labelled, Tensor]],
    task: Task,
    learnt: Learnt,
    outputs_of: OutputsOf,
    rows: Tensor | None = None,
) -> Result:
    """What `outputs_of` gives for each fold's test rows, scored together, and the adaptation.

    Args:
        parts: the folds, as `folds` gives them. rows: only those of the test rows that are in it
            (n,); None takes all.
    """
    adapted, info = learnt
    outputs, targets, clips = [], [], []
    for fold, (data, test) in zip(adapted, parts, strict=True):
        test = test if rows is None else test[torch.isin(test, rows)]
        outputs.append(outputs_of(fold, features_at, data, test))
        targets.append(data.targets[test])
        clips.append(test)
    together = (torch.cat(outputs), torch.cat(targets), task.kind, torch.cat(clips), task.metric)
    return Result(
        protocol=ID,
        task=task.name,
        kind=task.kind,
        **score_outputs(*together),
        **kept(info),
    )


def kept(info: Mapping[str, Any]) -> dict[str, Any]:
    """What a result says of the adaptation that it judges."""
    return {key: info[key] for key in KEPT if key in info}
