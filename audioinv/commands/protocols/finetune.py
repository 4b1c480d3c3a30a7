"""All weights fine-tuned from the encoder at a learnt descriptor: an upper row, not a readout."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import torch

from audioinv.commands.build import modes_of
from audioinv.commands.protocols import Context, Rows
from audioinv.commands.protocols.linear import adapted_folder
from audioinv.core.adapted import load_adapted
from audioinv.core.features import first_windows
from audioinv.core.finetune import finetune, predict
from audioinv.core.scores import score_outputs
from audioinv.data.folds import find_tasks, folds
from audioinv.data.task import Task

ID = "finetune-v1"


def rows(context: Context) -> Rows:
    """One row for each task and mode; a mixture is represented by its likeliest corner."""
    if not any(True for _ in context.encoder.backbone.parameters()):
        return  # no network, nothing to tune
    for task in find_tasks(context.pack, context.config.tasks):
        for mode in modes_of(context.config):
            adapted = adapted_folder(context, task, mode)
            yield adapted / "finetune", partial(row, context, task, adapted)


def row(context: Context, task: Task, adapted: Path) -> dict[str, Any]:
    """Scores over the test rows of all folds together, on each clip's first window."""
    began = time.perf_counter()
    cache, drawn = context.features.of(task)
    maps = cache.maps[first_windows(cache.owner)]
    learnt, info = load_adapted(adapted)
    outputs, targets, clips = [], [], []
    parts = folds(context.pack, task, drawn, context.config.score_on)
    for fold, (data, test) in zip(learnt, parts, strict=True):
        corner = fold.mixture.descriptors[fold.mixture.weights.argmax()]
        network = context.encoder.at(corner, cache.calibration).backbone
        model = finetune(network, maps, data, context.config.finetune, context.config.seed)
        outputs.append(predict(model, maps[test]))
        targets.append(data.targets[test])
        clips.append(test)
    return {
        "protocol": ID,
        "task": task.name,
        "kind": task.kind,
        **score_outputs(torch.cat(outputs), torch.cat(targets), task.kind, torch.cat(clips)),
        "mode": info["mode"],
        "descriptor": info["descriptor"],
        "n_train": info["n_train"],
        "layers": "last",
        "readout": "all weights",
        "seed": info["seed"],
        "seconds": round(time.perf_counter() - began, 2),
    }
