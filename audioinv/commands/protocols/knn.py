"""k nearest neighbours on the frozen features at the descriptor that `audioinv adapt` learnt."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from audioinv.commands.protocols import Context, Rows
from audioinv.commands.protocols.linear import adapted_folder, scored
from audioinv.conf.schema import KnnConfig
from audioinv.data.task import Task
from audioinv.runs.build import modes_of
from audioinv.tasks.adapted import Adapted
from audioinv.tasks.features import FeatureCache
from audioinv.tasks.folds import find_tasks
from audioinv.tasks.labelled import Labelled
from audioinv.tasks.neighbours import knn_scores

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
    knn = context.config.knn
    return {
        **scored(context, task, adapted, partial(votes, knn)),
        "protocol": ID,
        "readout": f"knn k={knn.k} temperature={knn.temperature}",
    }


def votes(
    knn: KnnConfig, fold: Adapted, cache: FeatureCache, data: Labelled, test: Tensor
) -> Tensor:
    """Class scores (n, classes) of test rows by their neighbours among the others."""
    features, known = fold.mixture.features(cache), data.fit_rows
    return knn_scores(
        features[known],
        data.targets[known],
        features[test],
        len(data.classes),
        knn.k,
        knn.temperature,
    )
