"""Linear readouts of frozen features, as `audioinv adapt` fitted them; regression alike."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch

from audioinv.commands.adapt import FEATURES_BY, already_adapted
from audioinv.commands.build import modes_of
from audioinv.commands.protocols import Context, Rows
from audioinv.commands.run_folder import task_folder
from audioinv.core.adapted import load_adapted
from audioinv.core.errors import UserError
from audioinv.core.scores import score_outputs
from audioinv.data.folds import find_tasks, folds
from audioinv.data.task import Task

ID = "linear-v1"
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
    """Scores over the test rows of all folds together."""
    cache, drawn = context.features.of(task)
    learnt, info = load_adapted(adapted)
    outputs, targets, clips = [], [], []
    parts = folds(context.pack, task, drawn, context.config.score_on)
    for fold, (data, test) in zip(learnt, parts, strict=True):
        features = torch.cat([cache(d)[test] for d in fold.mixture.descriptors], dim=1)
        outputs.append(fold.readout.scores(features))
        targets.append(data.targets[test])
        clips.append(test)
    return {
        "protocol": "regression-v1" if task.kind == "regression" else ID,
        "task": task.name,
        "kind": task.kind,
        **score_outputs(torch.cat(outputs), torch.cat(targets), task.kind, torch.cat(clips)),
        **{key: info[key] for key in KEPT},
    }
