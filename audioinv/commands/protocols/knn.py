"""k nearest neighbours on the frozen features at the descriptor that `audioinv adapt` learnt."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch

from audioinv.commands.build import modes_of
from audioinv.commands.protocols import Context, Rows
from audioinv.commands.protocols.linear import KEPT, adapted_folder
from audioinv.core.adapted import load_adapted
from audioinv.core.neighbours import knn_scores
from audioinv.core.scores import score_outputs
from audioinv.data.folds import find_tasks, folds
from audioinv.data.task import Task

ID = "knn-v1"


def rows(context: Context) -> Rows:
    """One row for each classification task and mode."""
    for task in find_tasks(context.pack, context.config.tasks):
        if task.kind != "classification":
            continue
        for mode in modes_of(context.config):
            adapted = adapted_folder(context, task, mode)
            yield adapted / "knn", partial(row, context, task, adapted)


def row(context: Context, task: Task, adapted: Path) -> dict[str, Any]:
    """Accuracy over the test rows of all folds together."""
    settings = context.config.knn
    cache, drawn = context.features.of(task)
    learnt, info = load_adapted(adapted)
    outputs, targets, clips = [], [], []
    parts = folds(context.pack, task, drawn, context.config.score_on)
    for fold, (data, test) in zip(learnt, parts, strict=True):
        features = fold.mixture.features(cache)
        known = data.fit_rows
        outputs.append(
            knn_scores(
                features[known],
                data.targets[known],
                features[test],
                len(data.classes),
                settings.k,
                settings.temperature,
            )
        )
        targets.append(data.targets[test])
        clips.append(test)
    return {
        "protocol": ID,
        "task": task.name,
        "kind": task.kind,
        **score_outputs(torch.cat(outputs), torch.cat(targets), task.kind, torch.cat(clips)),
        **{key: info[key] for key in KEPT},
        "readout": f"knn k={settings.k} temperature={settings.temperature}",
    }
