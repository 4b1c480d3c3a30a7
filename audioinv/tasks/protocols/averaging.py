"""Feature averaging (InvCLR): scores against M, the encodings whose mean is a clip's feature.

Readouts are fitted anew at every M, on training clips that are averaged alike (Foster et al., ICLR
2021, section 4), at the descriptor that the task learnt. M = 0 is the clip as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial

import torch
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.progress import shown
from audioinv.data.task import Task
from audioinv.tasks.adapt import fit
from audioinv.tasks.adapted import Adapted
from audioinv.tasks.clips import TaskFeatures
from audioinv.tasks.features import FeatureCache
from audioinv.tasks.labelled import Labelled, with_few_labels
from audioinv.tasks.learn import Learnt
from audioinv.tasks.protocols import Context, Row, Rows
from audioinv.tasks.protocols.linear import learnt_tasks, scored
from audioinv.tasks.result import Curve, Result
from audioinv.tasks.settings.protocols import AveragingConfig

ID = "averaging-v1"
FeaturesOf = Callable[[Task, int, Tensor], Tensor]


def rows(context: Context, settings: AveragingConfig) -> Rows:
    """One row for each task and mode: the score at the most draws, and the whole curve.

    Raises:
        UserError: no draws, or fewer than 1.
    """
    draws = sorted(set(settings.draws))
    if not draws or draws[0] < 1:
        raise UserError(f"averaging.draws is {draws}; give numbers of encodings, 1 or more")
    features = averaged_features(context, draws)
    for task, mode, learnt in learnt_tasks(context, context.tasks):
        make = partial(row, context, features, draws, task, learnt)
        yield Row(task.name, mode, "averaging", make)


def averaged_features(context: Context, draws: list[int]) -> FeaturesOf:
    """A function (task, M, descriptor (K,)) -> features (n, d); all of M come in one pass.

    The curves at the last few descriptors are remembered: tasks over the same clips share them.
    """
    own = context.features
    most = replace(own.settings, views=draws[-1])
    source = TaskFeatures(own.encoder, own.pack, most, own.bank, own.only)

    @lru_cache(maxsize=8)
    def curve(cache: FeatureCache, descriptor: tuple[float, ...]) -> dict[int, Tensor]:
        return cache.curve(torch.tensor(descriptor), draws)

    def features(task: Task, m: int, descriptor: Tensor) -> Tensor:
        if m == 0:
            return own.of(task)[0](descriptor)
        return curve(source.of(task)[0], tuple(descriptor.tolist()))[m]

    return features


def row(
    context: Context, features: FeaturesOf, draws: list[int], task: Task, learnt: Learnt
) -> Result:
    """Scores at M = 0 and at each of `draws`."""
    scores = {
        m: scored(context, task, learnt, partial(outputs, context, partial(features, task, m)))
        for m in shown((0, *draws), "averaging", "numbers of encodings")
    }
    curve = Curve("", tuple(scores), tuple(s.value for s in scores.values()))
    named = f"{ID} M={draws[-1]}"
    return replace(scores[draws[-1]], protocol=named, x_name="encodings averaged", curves=(curve,))


def outputs(
    context: Context,
    features_at: Callable[[Tensor], Tensor],
    fold: Adapted,
    cache: FeatureCache,
    data: Labelled,
    test: Tensor,
) -> Tensor:
    """Outputs (n, m) on test rows of a readout fitted to `features_at` of the others."""
    few = with_few_labels(data, context.adapt.labels_per_class, context.seed)
    readout = fit(fold.mixture, features_at, few, context.adapt)
    return readout.scores(fold.mixture.features(features_at)[test])
