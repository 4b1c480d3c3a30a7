"""Few-shot episodes (MetaAudio, MT-SLVR): with and without a learnt descriptor.

The classes are split by a keyed draw: descriptors are learnt from clips of the training classes,
episodes are drawn from test clips of the testing ones. `fewshot_published` is the same with the
readout that others published their figures by.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.near import unknown
from audioinv.data.rows import test_rows, training_rows
from audioinv.data.task import Task
from audioinv.tasks import modes
from audioinv.tasks.adapt import choose
from audioinv.tasks.episodes import (
    READOUTS,
    Episodes,
    Windows,
    best_corner_of_episodes,
    draw_episodes,
    episode_accuracies,
    interval,
    split_classes,
)
from audioinv.tasks.features import FeatureCache
from audioinv.tasks.folds import task_targets
from audioinv.tasks.labelled import Labelled
from audioinv.tasks.mixture import Mixture
from audioinv.tasks.protocols import Context, Row, Rows
from audioinv.tasks.result import Result
from audioinv.tasks.settings.fewshot import EpisodeConfig, FewShotConfig
from audioinv.tasks.standard import moments

log = logging.getLogger(__name__)
N_CHOOSING = 500
"""Episodes by which the mode `validation` judges a corner."""


def rows(context: Context, settings: FewShotConfig) -> Rows:
    """One row for each classification task, mode and readout."""
    return rows_of(context, settings, EpisodesOf, settings.readouts)


def rows_of(
    context: Context, settings: EpisodeConfig, kind: type[EpisodesOf], readouts: Sequence[str]
) -> Rows:
    """One row for each classification task, mode and readout, by episodes of a kind.

    A task without classes enough for such episodes is left out with a warning, unless it was chosen
    by name.

    Raises:
        UserError: a mode that there is not.
    """
    wanted = [modes.check(mode, episodes=True) for mode in settings.modes]
    wanted = wanted if context.amortised else ["fixed:all"]
    for readout in readouts:
        if readout not in READOUTS:
            raise unknown("a readout of fewshot.readouts", readout, READOUTS)
    for task in context.tasks:
        if task.kind != "classification" or task.groups or task.augmentation:
            continue
        try:
            episodes = kind(context, task, settings)
        except UserError as error:
            if context.named:
                raise
            log.warning("%s is left out: %s", task.name, error)
            continue
        for mode in wanted:
            features = lru_cache(maxsize=1)(partial(episodes.features, mode))
            for readout in readouts:
                name = f"{kind.protocol}_{settings.n_way}way_{settings.k_shot}shot_{readout}"
                yield Row(task.name, mode, name, partial(episodes.row, mode, readout, features))


class EpisodesOf:
    """The episodes of one task, the same for every encoder and descriptor.

    Args:
        context: what is judged. task: a classification task. settings: of the episodes.

    Raises:
        UserError: too few classes or clips for such episodes.
    """

    protocol = "fewshot"
    version = "v1"

    def __init__(self, context: Context, task: Task, settings: EpisodeConfig) -> None:
        self.context = context
        self.task = task
        self.settings = settings
        self.seed = context.seed
        self.labels, self.classes = task_targets(context.pack, task, None)
        self.parts = split_classes(len(self.classes), self.settings.class_split, self.seed)
        self.episodes = self.draw(test_rows(context.pack), self.parts[2], self.settings)
        known = torch.tensor(training_rows(context.pack))
        self.known = known

    def draw(self, clips: list[int], classes: Tensor, settings: EpisodeConfig) -> Episodes:
        """Episodes over some of the clips."""
        allowed = torch.full_like(self.labels, -1)
        allowed[clips] = self.labels[clips]
        return draw_episodes(allowed, classes, settings, self.seed)

    def row(self, mode: str, readout: str, features: Any) -> Result:
        """Mean accuracy over the episodes, with its interval."""
        judge = features()
        began = time.perf_counter()
        accuracies, descriptor, seconds = judge(readout)
        episodes_seconds = time.perf_counter() - began
        s = self.settings
        return Result(
            protocol=f"{self.protocol}-{self.version} {s.n_way}-way {s.k_shot}-shot",
            task=self.task.name,
            kind="classification",
            metric="accuracy",
            value=float(accuracies.mean()),
            interval=interval(accuracies),
            chance=1 / s.n_way,
            n_test=len(accuracies),
            n_train=s.n_way * s.k_shot,
            mode=mode,
            per_clip={"clips": torch.arange(len(accuracies)), "score": accuracies},
            detail=f"{modes.label(mode, episodes=True)}, {readout}",
            descriptor=self.context.encoder.space.to_dict(descriptor),
            layers=self.context.features.settings.layers,
            readout=readout,
            test_classes=tuple(self.classes[k] for k in self.parts[2].tolist()),
            seed=self.seed,
            seconds=round(seconds, 2),
            episodes_seconds=round(episodes_seconds, 2),
        )

    def features(self, mode: str) -> Any:
        """For a mode: readout -> (accuracies (T,), descriptor (K,), seconds to learn it)."""
        cache, _ = self.context.features.of(self.task)
        began = time.perf_counter()
        if mode == "episode":
            return partial(self._by_episode, cache)
        mixture = self.learn(mode, cache)
        seconds = time.perf_counter() - began
        windows = Windows.of(self.judged(cache, mixture), cache.owner)

        def accuracies(readout: str) -> tuple[Tensor, Tensor, float]:
            return self.accuracies(windows, self.episodes, readout), mixture.reported, seconds

        return accuracies

    def accuracies(self, windows: Windows, episodes: Episodes, readout: str) -> Tensor:
        """Accuracy of each of T episodes, (T,)."""
        own = self.settings
        inverse_l2 = own.inverse_l2 if isinstance(own, FewShotConfig) else 1.0
        return episode_accuracies(windows, episodes, readout, self.seed, inverse_l2)

    def learn(self, mode: str, cache: FeatureCache) -> Mixture:
        """The descriptor of the whole task, from clips of its training classes only."""
        space = self.context.encoder.space
        corner = modes.corner_of(mode)
        if corner and cache.sizes is None:
            return Mixture.single(space.parse(corner))
        seen = self.known[torch.isin(self.labels[self.known], self.parts[0])]
        if len(self.parts[0]) < 2:
            raise UserError(
                f"{self.protocol} mode '{mode}' learns from training classes and there are "
                f"{len(self.parts[0])}; give them more of {self.protocol}.class_split"
            )
        if mode == "validation":
            return self._by_validation(cache, seen)
        data = Labelled(self.labels, "classification", self.classes, seen, seen[:0])
        return choose(mode, space, cache, data, self.context.adapt, self.seed)

    def judged(self, cache: FeatureCache, mixture: Mixture) -> Tensor:
        """Window features (m, D) that the readouts see."""
        return self.standardised(cache, mixture)

    def standardised(self, cache: FeatureCache, mixture: Mixture) -> Tensor:
        """Window features (m, D), standardised over training clips, scaled by the mixture."""
        features = mixture.features(cache.windows)
        known = torch.isin(cache.owner, self.known)
        mean, std = moments(features[known])
        return (features - mean) / std * mixture.scales(features.shape[1])

    def _by_validation(self, cache: FeatureCache, seen: Tensor) -> Mixture:
        """The corner whose centroids do best in episodes of the training classes."""
        most = min(self.settings.n_way, len(self.parts[0]))
        settings = replace(self.settings, n_way=most, n_tasks=N_CHOOSING)
        episodes = self.draw(seen.tolist(), self.parts[0], settings)

        def value(corner: Tensor) -> float:
            single = Mixture.single(corner)
            windows = Windows.of(self.standardised(cache, single), cache.owner)
            return float(self.accuracies(windows, episodes, "centroid").mean())

        return Mixture.single(max(self.context.encoder.space.corners, key=value))

    def _by_episode(self, cache: FeatureCache, readout: str) -> tuple[Tensor, Tensor, float]:
        """Every episode with the corner under which its own support has the highest evidence."""
        began = time.perf_counter()
        corners = self.context.encoder.space.corners
        windows = [
            Windows.of(self.standardised(cache, Mixture.single(c)), cache.owner) for c in corners
        ]
        which = best_corner_of_episodes(windows, self.episodes, self.seed)
        seconds = time.perf_counter() - began
        accuracies = torch.zeros(len(which))
        for corner in which.unique().tolist():
            mine = which == corner
            judged = self.judged(cache, Mixture.single(corners[corner]))
            windows_of = Windows.of(judged, cache.owner)
            accuracies[mine] = self.accuracies(windows_of, self.episodes.take(mine), readout)
        return accuracies, corners[which].float().mean(0), seconds
