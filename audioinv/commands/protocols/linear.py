"""Linear readouts of frozen features, as `audioinv adapt` fitted them; regression alike."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.commands.adapt import FEATURES_BY, already_adapted
from audioinv.commands.protocols import Context, Rows
from audioinv.data.task import Task
from audioinv.runs.build import modes_of
from audioinv.runs.folder import task_folder
from audioinv.tasks.adapt import only
from audioinv.tasks.adapted import Adapted, load_adapted
from audioinv.tasks.features import FeatureCache
from audioinv.tasks.folds import find_tasks, folds
from audioinv.tasks.labelled import Labelled
from audioinv.tasks.scores import score_outputs

ID = "linear-v1"
OutputsOf = Callable[[Adapted, FeatureCache, Labelled, Tensor], Tensor]
KEPT = ("mode", "descriptor", "n_train", "layers", "readout", "seed", "seconds")


def rows(context: Context) -> Rows:
    """One row for each task and mode."""
    for task in find_tasks(context.pack, context.config.tasks):
        for mode in modes_of(context.config):
            adapted = adapted_folder(context, task, mode)
            yield adapted / "linear", partial(row, context, task, adapted)


def adapted_folder(context: Context, task: Task, mode: str) -> Path:
    """Where a task's adaptation is.

    Raises:
        UserError: it is not adapted yet, or with other features.
    """
    folder = task_folder(context.out, task.name, mode)
    if not already_adapted(folder, context.config, FEATURES_BY):
        run = context.config.run
        raise UserError(f"{folder} is not adapted yet; run audioinv adapt run={run} first")
    return folder


def row(context: Context, task: Task, adapted: Path) -> dict[str, Any]:
    """Scores of the fitted readouts over the test rows of all folds together."""
    return {
        "protocol": "regression-v1" if task.kind == "regression" else ID,
        **scored(context, task, adapted, readout_outputs),
    }


def readout_outputs(fold: Adapted, cache: FeatureCache, data: Labelled, test: Tensor) -> Tensor:
    """Outputs (n, m) of the readout on test rows."""
    return fold.readout.scores(fold.mixture.features(only(cache, test)))


def scored(context: Context, task: Task, adapted: Path, outputs_of: OutputsOf) -> dict[str, Any]:
    """What `outputs_of` gives for each fold's test rows, scored together, and the adaptation."""
    return scored_on(None, context, task, adapted, outputs_of)


def scored_on(
    rows: Tensor | None, context: Context, task: Task, adapted: Path, outputs_of: OutputsOf
) -> dict[str, Any]:
    """The same on those test rows that are in `rows` (n,) alone; None means all."""
    cache, drawn = context.features.of(task)
    learnt, info = load_adapted(adapted)
    outputs, targets, clips = [], [], []
    parts = folds(context.pack, task, drawn, context.config.score_on)
    for fold, (data, test) in zip(learnt, parts, strict=True):
        test = test if rows is None else test[torch.isin(test, rows)]
        outputs.append(outputs_of(fold, cache, data, test))
        targets.append(data.targets[test])
        clips.append(test)
    return {
        "task": task.name,
        "kind": task.kind,
        **score_outputs(
            torch.cat(outputs), torch.cat(targets), task.kind, torch.cat(clips), task.metric
        ),
        **{key: info[key] for key in KEPT},
    }
