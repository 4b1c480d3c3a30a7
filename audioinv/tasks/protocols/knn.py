"""k nearest neighbours on the frozen features at the descriptor that `audioinv adapt` learnt."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from audioinv.base.tensors import device_of
from audioinv.data.task import Task
from audioinv.tasks.adapted import Adapted
from audioinv.tasks.corners import only, prepare
from audioinv.tasks.features import FeatureCache
from audioinv.tasks.labelled import Labelled
from audioinv.tasks.learn import Learnt
from audioinv.tasks.neighbours import knn_scores
from audioinv.tasks.protocols import Context, Row, Rows
from audioinv.tasks.protocols.linear import learnt_tasks, scored
from audioinv.tasks.result import Result
from audioinv.tasks.settings.protocols import KnnConfig

ID = "knn-v1"


def rows(context: Context, settings: KnnConfig) -> Rows:
    """One row for each classification task and mode."""
    tasks = [task for task in context.tasks if task.kind == "classification"]
    for task, mode, learnt in learnt_tasks(context, tasks):
        yield Row(task.name, mode, "knn", partial(row, context, settings, task, learnt))


def row(context: Context, knn: KnnConfig, task: Task, learnt: Learnt) -> Result:
    """Accuracy over the test rows of all folds together."""
    result = scored(context, task, learnt, partial(votes, knn))
    return replace(result, protocol=ID, readout=f"knn k={knn.k} temperature={knn.temperature}")


def votes(
    knn: KnnConfig, fold: Adapted, cache: FeatureCache, data: Labelled, test: Tensor
) -> Tensor:
    """Class scores (n, classes) of test rows by their neighbours among the others."""
    known = data.fit_rows
    prepare(cache, fold.mixture.descriptors, torch.cat([known, test]))
    return knn_scores(
        fold.mixture.features(only(cache, known)),
        data.targets[known],
        fold.mixture.features(only(cache, test)),
        len(data.classes),
        knn.k,
        knn.temperature,
        device_of(cache.encoder),
    )
