"""Several encoders on the same tasks: the same clips, labels, folds, readout and tuning for each.

Features are computed once for each encoder and pack, whatever is learnt from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.data.pack import Pack
from audioinv.data.task import Task
from audioinv.tasks import modes
from audioinv.tasks.clips import TaskFeatures
from audioinv.tasks.contenders import Contender
from audioinv.tasks.features import FeatureCache
from audioinv.tasks.folds import find_tasks, folds
from audioinv.tasks.learn import described, learn
from audioinv.tasks.protocols.linear import id_of, readout_outputs, scored_on
from audioinv.tasks.result import Result
from audioinv.tasks.settings.adapt import AdaptConfig
from audioinv.tasks.settings.features import FeatureConfig

LEVELS = ("last", "depth")


@dataclass(frozen=True)
class Plan:
    """What every encoder of a comparison goes through.

    Args:
        labels: of a class, a table each, half of them for training and half for choosing (of a
            regression: in all, times ten); 0 means all of them.
        draws: how often the labels are drawn, where they are not all.
        levels: last layer alone, or depth, where tasks choose among all levels by evidence.
        adapt: how tasks learn. features: how clips become features.

    Raises:
        UserError: labels or levels that there are not, or fewer than two draws.
    """

    labels: tuple[int, ...] = (10, 0)
    draws: int = 5
    levels: tuple[str, ...] = LEVELS
    adapt: AdaptConfig = field(default_factory=AdaptConfig)
    features: FeatureConfig = field(default_factory=FeatureConfig)

    def __post_init__(self) -> None:
        odd = [n for n in self.labels if n < 0 or n % 2]
        if odd or not self.labels:
            raise UserError(
                f"labels of a class are {odd or 'none'}; give even numbers, half for training and "
                "half for choosing, or 0 for all"
            )
        if self.draws < 2:
            raise UserError(f"draws is {self.draws}; give 2 or more, which have an interval")
        wrong = [level for level in self.levels if level not in LEVELS]
        if wrong or not self.levels:
            raise UserError(f"levels are {wrong or 'none'}; give {' or '.join(LEVELS)}, or both")

    @property
    def drawn(self) -> list[tuple[int, int]]:
        """Labels of a class and the seed of each draw; those of all come first, whose features the
        others need too."""
        few = [(n, draw) for n in self.labels if n for draw in range(self.draws)]
        return [(0, 0)] * (0 in self.labels) + few


@dataclass(frozen=True)
class Cell:
    """One result to be made: its task, mode, level, labels of a class and draw, and how."""

    contender: Contender
    task: Task
    mode: str
    level: str
    labels: int
    seed: int
    make: Callable[[], Result]


class LastLevel:
    """The last level of features that have several: descriptor (K,) -> (n, d)."""

    sizes = None

    def __init__(self, cache: FeatureCache) -> None:
        self.cache = cache
        self.depends = cache.depends

    def __call__(self, descriptor: Tensor) -> Tensor:
        """Features (n, d) of all clips."""
        return self.cache(descriptor)[:, -(self.cache.sizes or (0,))[-1] :]


class Seen:
    """A pack as a contender sees it; nothing is computed before it is asked for."""

    def __init__(self, contender: Contender, pack: Pack, plan: Plan) -> None:
        self.contender = contender
        self.pack = pack
        self.plan = plan

    @cached_property
    def features(self) -> TaskFeatures:
        """All levels of its features."""
        made = replace(self.plan.features, layers="depth")
        return TaskFeatures(self.contender.make(self.pack), self.pack, made)

    def cells(self, tasks: list[Task]) -> Iterator[Cell]:
        """Every result of a contender on these tasks; one without levels has one row for them."""
        known = [level for level in reversed(LEVELS) if level in self.plan.levels]
        for task in tasks:
            for level in known if self.contender.deep else known[-1:]:  # depth computes for both
                for mode in self.contender.modes:
                    for labels, seed in self.plan.drawn:
                        own = (task, mode, level, labels, seed)
                        yield Cell(self.contender, *own, partial(self.result, *own))

    def result(self, task: Task, mode: str, level: str, labels: int, seed: int) -> Result:
        """What a task learns by a mode from so many labels, and how it does on its test clips."""
        plan, encoder = self.plan, self.features.encoder
        settings = replace(plan.adapt, labels_per_class=labels // 2)
        cache, targets = self.features.of(task)
        features_at: Any = LastLevel(cache) if level == "last" else cache
        parts = list(folds(self.pack, task, targets))
        told = described(task, mode, replace(plan.features, layers=level), settings, seed)
        known = (data for data, _ in parts)
        adapted, info = learn(encoder, features_at, known, mode, settings, seed)
        found = scored_on(features_at, parts, task, (adapted, {**told, **info}), readout_outputs)
        sizes = [len(fold.readout.mean) for fold in adapted]
        return replace(
            found,
            protocol=protocol(task.kind, labels),
            n_features=round(sum(sizes) / len(sizes)),
            detail=detail(self.contender, mode, level),
            corpus=self.pack.corpus.name,
        )


def protocol(kind: str, labels: int) -> str:
    """The id of a linear readout of so many labels a class."""
    return f"{id_of(kind)}, {labels or 'all'} labels a class"


def detail(contender: Contender, mode: str, level: str) -> str:
    """What a row is called after its method: the mode, where there are several, and the level."""
    by = [modes.label(mode)] if len(contender.modes) > 1 else []
    at = [{"last": "last layer", "depth": "all levels"}[level]] if contender.deep else []
    return ", ".join([*by, *at])


def tasks_of(packs: dict[int, Pack], names: list[str] | None) -> list[Task]:
    """The tasks of a corpus to compare on: those named, or all of classes.

    Args:
        packs: of one corpus, by their size.

    Raises:
        UserError: no such task, or the packs are not of the same clips.
    """
    first, *others = packs.values()
    if any(list(first.frame["id"]) != list(other.frame["id"]) for other in others):
        raise UserError(
            f"the packs of {first.corpus.name} hold different clips; pack the same manifest anew"
        )
    found = find_tasks(first, names)
    return found if names else [task for task in found if task.kind == "classification"]
