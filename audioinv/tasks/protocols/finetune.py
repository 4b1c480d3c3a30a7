"""All weights fine-tuned from the encoder at a learnt descriptor: an upper row, not a readout."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.data.task import Task
from audioinv.tasks.adapted import Adapted
from audioinv.tasks.features import FeatureCache
from audioinv.tasks.finetune import Finetuned, finetune, predict
from audioinv.tasks.labelled import Labelled
from audioinv.tasks.learn import Learnt
from audioinv.tasks.protocols import Context, Row, Rows
from audioinv.tasks.protocols.linear import learnt_tasks, scored
from audioinv.tasks.result import Result
from audioinv.tasks.settings.finetune import FinetuneConfig
from audioinv.tasks.tuned import save_finetuned

ID = "finetune-v1"


def rows(context: Context, settings: FinetuneConfig) -> Rows:
    """One row for each task and mode; a mixture is represented by its likeliest corner.

    Raises:
        UserError: readouts of averaged features.
    """
    if context.features.settings.views:
        raise UserError("protocol finetune sees every clip as it is; leave features.views at 0")
    if not any(True for _ in context.encoder.backbone.parameters()):
        return  # no network, nothing to tune
    for task, mode, learnt in learnt_tasks(context, context.tasks):
        models: list[Finetuned] = []
        make = partial(row, context, settings, task, learnt, models)
        classes = learnt[0][0].readout.classes
        keep = partial(
            save_finetuned, encoder=context.encoder, models=models, kind=task.kind, classes=classes
        )
        yield Row(task.name, mode, "finetune", make, keep)


def row(
    context: Context,
    settings: FinetuneConfig,
    task: Task,
    learnt: Learnt,
    models: list[Finetuned],
) -> Result:
    """Scores over the test rows of all folds together, on each clip's first window.

    Args:
        models: takes the network of every fold.
    """
    began = time.perf_counter()
    result = scored(context, task, learnt, partial(tuned_outputs, context, settings, models))
    seconds = round(time.perf_counter() - began, 2)
    return replace(result, protocol=ID, layers="last", readout="all weights", seconds=seconds)


def tuned_outputs(
    context: Context,
    settings: FinetuneConfig,
    models: list[Finetuned],
    fold: Adapted,
    cache: FeatureCache,
    data: Labelled,
    test: Tensor,
) -> Tensor:
    """Outputs (n, m) on test rows of the fold's network after fine-tuning."""
    known = data.fit_rows
    maps = cache.first_maps(torch.cat([known, test]))
    corner = fold.mixture.descriptors[fold.mixture.weights.argmax()]
    network = context.encoder.at(corner).backbone
    model = finetune(network, maps[: len(known)], data.alone(), settings, context.seed)
    models.append(model)
    return predict(model, maps[len(known) :])
