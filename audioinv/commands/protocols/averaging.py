"""Feature averaging (InvCLR): scores against M, the encodings whose mean is a clip's feature.

Readouts are fitted anew at every M, on training clips that are averaged alike (Foster et al., ICLR
2021, section 4), at the descriptor that `audioinv adapt` learnt. M = 0 is the clip as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.commands.features import TaskFeatures
from audioinv.commands.protocols import Context, Rows
from audioinv.commands.protocols.linear import adapted_folder, scored
from audioinv.data.task import Task
from audioinv.runs.build import modes_of
from audioinv.tasks.adapt import fit
from audioinv.tasks.adapted import Adapted
from audioinv.tasks.features import FeatureCache
from audioinv.tasks.folds import find_tasks
from audioinv.tasks.labelled import Labelled, with_few_labels

ID = "averaging-v1"
FeaturesOf = Callable[[Task, int, Tensor], Tensor]


def rows(context: Context) -> Rows:
    """One row for each task and mode: the score at the most draws, and the whole curve.

    Raises:
        UserError: no draws, or fewer than 1.
    """
    draws = sorted(set(context.config.averaging.draws))
    if not draws or draws[0] < 1:
        raise UserError(f"averaging.draws is {draws}; give numbers of encodings, 1 or more")
    features = averaged_features(context, draws)
    for task in find_tasks(context.pack, context.config.tasks):
        for mode in modes_of(context.config):
            adapted = adapted_folder(context, task, mode)
            yield adapted / "averaging", partial(row, context, features, draws, task, adapted)


def averaged_features(context: Context, draws: list[int]) -> FeaturesOf:
    """A function (task, M, descriptor (K,)) -> features (n, d); all of M come in one pass.

    The curves at the last few descriptors are remembered: tasks over the same clips share them.
    """
    config = context.config
    most = replace(config.features, views=draws[-1])
    averaging = replace(config, features=most)
    source = TaskFeatures(context.encoder, context.bank, context.pack, averaging)

    @lru_cache(maxsize=8)
    def curve(cache: FeatureCache, descriptor: tuple[float, ...]) -> dict[int, Tensor]:
        return cache.curve(torch.tensor(descriptor), draws)

    def features(task: Task, m: int, descriptor: Tensor) -> Tensor:
        if m == 0:
            return context.features.of(task)[0](descriptor)
        return curve(source.of(task)[0], tuple(descriptor.tolist()))[m]

    return features


def row(
    context: Context, features: FeaturesOf, draws: list[int], task: Task, adapted: Path
) -> dict[str, Any]:
    """Scores at M = 0 and at each of `draws`."""
    scores = {
        m: scored(context, task, adapted, partial(outputs, context, partial(features, task, m)))
        for m in (0, *draws)
    }
    return {
        **scores[draws[-1]],
        "protocol": f"{ID} M={draws[-1]}",
        "x_name": "encodings averaged",
        "curves": {"": {"x": list(scores), "value": [s["value"] for s in scores.values()]}},
    }


def outputs(
    context: Context,
    features_at: Callable[[Tensor], Tensor],
    fold: Adapted,
    cache: FeatureCache,
    data: Labelled,
    test: Tensor,
) -> Tensor:
    """Outputs (n, m) on test rows of a readout fitted to `features_at` of the others."""
    config = context.config
    few = with_few_labels(data, config.adapt.labels_per_class, config.seed)
    readout = fit(fold.mixture, features_at, few, config.adapt)
    return readout.scores(fold.mixture.features(features_at)[test])
