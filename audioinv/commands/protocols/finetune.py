"""All weights fine-tuned from the encoder at a learnt descriptor: an upper row, not a readout."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.commands.protocols import Context, Rows
from audioinv.commands.protocols.linear import adapted_folder, scored
from audioinv.data.task import Task
from audioinv.runs.build import modes_of
from audioinv.tasks.adapted import Adapted
from audioinv.tasks.features import FeatureCache, first_windows
from audioinv.tasks.finetune import finetune, predict
from audioinv.tasks.folds import find_tasks
from audioinv.tasks.labelled import Labelled

ID = "finetune-v1"


def rows(context: Context) -> Rows:
    """One row for each task and mode; a mixture is represented by its likeliest corner.

    Raises:
        UserError: readouts of averaged features.
    """
    if context.config.features.views:
        raise UserError("protocol finetune sees every clip as it is; leave features.views at 0")
    if not any(True for _ in context.encoder.backbone.parameters()):
        return  # no network, nothing to tune
    for task in find_tasks(context.pack, context.config.tasks):
        for mode in modes_of(context.config):
            adapted = adapted_folder(context, task, mode)
            yield adapted / "finetune", partial(row, context, task, adapted)


def row(context: Context, task: Task, adapted: Path) -> dict[str, Any]:
    """Scores over the test rows of all folds together, on each clip's first window."""
    began = time.perf_counter()
    return {
        **scored(context, task, adapted, partial(tuned_outputs, context)),
        "protocol": ID,
        "layers": "last",
        "readout": "all weights",
        "seconds": round(time.perf_counter() - began, 2),
    }


def tuned_outputs(
    context: Context, fold: Adapted, cache: FeatureCache, data: Labelled, test: Tensor
) -> Tensor:
    """Outputs (n, m) on test rows of the fold's network after fine-tuning."""
    maps = cache.maps[first_windows(cache.owner)]
    corner = fold.mixture.descriptors[fold.mixture.weights.argmax()]
    network = context.encoder.at(corner, cache.calibration).backbone
    model = finetune(network, maps, data, context.config.finetune, context.config.seed)
    return predict(model, maps[test])
