"""A task learns: over its folds, a mixture of descriptors and a readout each."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from audioinv.core.encoder import AmortisedEncoder
from audioinv.data.task import Task
from audioinv.tasks import modes
from audioinv.tasks.adapt import choose, fit, learn_jointly
from audioinv.tasks.adapted import Adapted
from audioinv.tasks.clips import TaskFeatures
from audioinv.tasks.corners import TaskEvidence
from audioinv.tasks.features import FeatureCache
from audioinv.tasks.folds import folds
from audioinv.tasks.labelled import Labelled, with_few_labels
from audioinv.tasks.mixture import Mixture, mean_depth
from audioinv.tasks.settings.adapt import AdaptConfig
from audioinv.tasks.settings.features import FeatureConfig
from audioinv.tasks.surrogate import learn_by_surrogate

Learnt = tuple[list[Adapted], dict[str, Any]]
"""What each fold learnt, and what is to be known about it: `info` of `save_adapted`."""


def learn_task(
    features: TaskFeatures,
    task: Task,
    mode: str,
    settings: AdaptConfig,
    seed: int = 0,
    score_on: str = "test",
) -> Learnt:
    """One task of a pack by one mode, over the task's folds.

    Raises:
        UserError: an unknown mode, or labels that cannot be learnt from.
    """
    cache, drawn = features.of(task)
    parts = (data for data, _ in folds(features.pack, task, drawn, score_on))
    learnt, info = learn(features.encoder, cache, parts, mode, settings, seed)
    about = described(task, mode, features.settings, settings, seed)
    return learnt, {**about, "score_on": score_on, **info}


def learn(
    encoder: AmortisedEncoder,
    cache: FeatureCache,
    parts: Iterable[Labelled],
    mode: str,
    settings: AdaptConfig,
    seed: int = 0,
) -> Learnt:
    """Each of `parts`, which are over the clips of `cache`; and descriptor, n_train, seconds."""
    began = time.perf_counter()
    adapted, n_train = [], 0
    for part in parts:
        data = with_few_labels(part, settings.labels_per_class, seed)
        mixture = pick(mode, encoder, cache, data, settings, seed)
        n_train = len(data.fit_rows)
        adapted.append(Adapted(mixture, fit(mixture, cache, data, settings)))
    depth = mean_depth(fold.mixture for fold in adapted)
    return adapted, {
        "descriptor": encoder.space.to_dict(mean_descriptor(adapted)),
        **({} if depth is None else {"depth": named_levels(depth)}),
        "n_train": n_train,
        "seconds": round(time.perf_counter() - began, 2),
    }


def mean_descriptor(folds: Iterable[Adapted]) -> Tensor:
    """What the folds report as learnt, (K,), on average."""
    return torch.stack([fold.mixture.reported for fold in folds]).mean(0)


def named_levels(depth: Tensor) -> dict[str, float]:
    """Level -> weight: 0 is the front end's rows, the last one the last layer."""
    return {f"level {k}": round(weight, 4) for k, weight in enumerate(depth.tolist())}


def described(
    task: Task, mode: str, features: FeatureConfig, settings: AdaptConfig, seed: int
) -> dict[str, Any]:
    """What an adaptation is known by: its settings are those that its mode reads."""
    return {
        "task": task.to_json(),
        "mode": mode,
        **{key: value for key, value in vars(features).items() if key != "memory_gb"},
        "labels_per_class": settings.labels_per_class,
        "readout": settings.readout,
        "l2": settings.l2,
        **{key: getattr(settings, key) for key in modes.reads(mode, features.layers)},
        "seed": seed,
    }


def pick(
    mode: str,
    encoder: AmortisedEncoder,
    cache: FeatureCache,
    data: Labelled,
    settings: AdaptConfig,
    seed: int,
) -> Mixture:
    """The mixture of one fold; gradient descent needs the encoder, the others its features."""
    if mode not in ("paper", "surrogate"):
        return choose(mode, encoder.space, cache, data, settings, seed)
    descend = learn_jointly if mode == "paper" else learn_by_surrogate
    learnt = descend(encoder, cache, data, settings, seed)
    return TaskEvidence(encoder.space, cache, data, settings, seed).at(learnt)
