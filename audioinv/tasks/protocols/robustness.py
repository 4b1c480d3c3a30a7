"""Robustness: scores of readouts fitted on clips as they are, on test clips that are transformed.

Every augmentation of the bank acts alone on the test clips, and then all together, at rising
strength (`Augmentation.at_strength`): 1 is the range of pre-training, more is beyond it. The draws
are the same at every strength and for every encoder with the same bank.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from audioinv.base.errors import UserError
from audioinv.base.progress import shown
from audioinv.base.randomness import generator
from audioinv.data.rows import sample_rows
from audioinv.data.task import Task
from audioinv.tasks.adapted import Adapted
from audioinv.tasks.features import FeatureCache, embed, maps_of, pool_windows
from audioinv.tasks.folds import folds
from audioinv.tasks.labelled import Labelled
from audioinv.tasks.learn import Learnt
from audioinv.tasks.protocols import Context, Row, Rows
from audioinv.tasks.protocols.linear import learnt_tasks, scored
from audioinv.tasks.result import Curve, Result
from audioinv.tasks.settings.protocols import RobustnessConfig

ID = "robustness-v1"
TOGETHER = "all together"


def rows(context: Context, settings: RobustnessConfig) -> Rows:
    """One row for each task and mode, but those whose clips an augmentation has changed already.

    Raises:
        UserError: no strength, one below 0, or readouts of averaged features.
    """
    strengths = sorted(set(settings.strengths))
    if not strengths or strengths[0] < 0:
        raise UserError(f"robustness.strengths is {strengths}; give numbers, 0 or more")
    if context.features.settings.views:
        raise UserError("protocol robustness encodes every clip once; leave features.views at 0")
    known: dict[tuple[int, ...], TransformedClips] = {}
    for task in (task for task in context.tasks if task.augmentation is None):
        tested = tuple(judged_clips(context, task, settings.clips))
        clips = known.setdefault(tested, TransformedClips(context, tested))
        for _, mode, learnt in learnt_tasks(context, [task]):
            make = partial(row, context, clips, strengths, task, learnt)
            yield Row(task.name, mode, "robustness", make)


def judged_clips(context: Context, task: Task, most: int) -> list[int]:
    """At most `most` of the rows that the task's folds test on, ascending."""
    parts = folds(context.pack, task, None, context.score_on)
    rows = sorted(clip for _, test in parts for clip in test.tolist())
    return sorted(sample_rows(rows, most, 0, "robustness"))


class TransformedClips:
    """Features of some clips under each augmentation of the bank, at any strength.

    Args:
        context: of the run. rows: of the pack, ascending.
    """

    def __init__(self, context: Context, rows: tuple[int, ...]) -> None:
        self.context = context
        self.rows = torch.tensor(rows)
        self.series = (*context.bank.augmentations, TOGETHER)
        self.networks: dict[tuple[float, ...], nn.Module] = {}
        self.known: dict[tuple[Any, ...], Tensor] = {}

    def features(self, series: str, strength: float, descriptor: Tensor) -> Tensor:
        """Features (n, d) of the clips at `descriptor` (K,), in the order of `rows`."""
        corner = tuple(descriptor.tolist())
        key = (series, strength, corner)
        if key not in self.known:
            maps, owner = self._maps(series, strength)
            settings = self.context.features.settings
            found = embed(self._network(corner), maps, settings.layers)
            self.known[key] = pool_windows(found, owner, settings.pool)
        return self.known[key]

    def _network(self, corner: tuple[float, ...]) -> nn.Module:
        if corner not in self.networks:
            self.networks[corner] = self.context.encoder.at(torch.tensor(corner)).backbone
        return self.networks[corner]

    @torch.no_grad()
    def _maps(self, series: str, strength: float) -> tuple[Tensor, Tensor]:
        """Front-end maps (m, C, H, W) of all windows, and the place in `rows` of each, (m,)."""
        context, bank = self.context, self.context.bank
        params = bank.at_strength(self._params(series), strength)
        maps, owner = [], []
        for x, clips in context.features.batches(True, self.rows.tolist()):
            place = torch.searchsorted(self.rows, clips)
            changed = bank.apply(x, {name: p[place] for name, p in params.items()})
            maps.append(maps_of(context.encoder, changed).cpu())
            owner.append(place)
        return torch.cat(maps), torch.cat(owner)

    def _params(self, series: str) -> dict[str, Tensor]:
        """Parameters (n, P) of every augmentation; identity rows of those that do not act."""
        n = len(self.rows)
        return {
            name: augmentation.sample(n, generator(0, "robustness", name))
            if series in (name, TOGETHER)
            else augmentation.identity(n)
            for name, augmentation in self.context.bank.augmentations.items()
        }


def row(
    context: Context, clips: TransformedClips, strengths: list[float], task: Task, learnt: Learnt
) -> Result:
    """The score under all augmentations at the highest strength, and every curve."""
    points = shown(itertools.product(clips.series, strengths), "robustness", "strengths")
    scores = {
        (series, s): scored(context, task, learnt, partial(outputs, clips, series, s), clips.rows)
        for series, s in points
    }
    curves = tuple(
        Curve(series, tuple(strengths), tuple(scores[series, s].value for s in strengths))
        for series in clips.series
    )
    named = f"{ID} strength {strengths[-1]:g}"
    return replace(
        scores[TOGETHER, strengths[-1]], protocol=named, x_name="strength", curves=curves
    )


def outputs(
    clips: TransformedClips,
    series: str,
    strength: float,
    fold: Adapted,
    cache: FeatureCache,
    data: Labelled,
    test: Tensor,
) -> Tensor:
    """Outputs (n, m) of the adapted readout on transformed test rows, all of them in `clips`."""
    features = fold.mixture.features(partial(clips.features, series, strength))
    return fold.readout.scores(features[torch.searchsorted(clips.rows, test)])
