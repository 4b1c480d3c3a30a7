"""Probes of the augmentations' own parameters: what the descriptor keeps, and what it removes.

Every clip is changed once by an augmentation with drawn parameters; ridge regression predicts each
of them from the frozen feature of the changed clip. Where the component is off, the feature
should tell how many semitones it was; where it is on, it should not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import torch
from torch import Tensor

from audioinv.base.progress import shown
from audioinv.base.randomness import generator
from audioinv.core.augmentation import Parameter
from audioinv.core.descriptor import DescriptorSpace
from audioinv.data.rows import test_rows, training_rows
from audioinv.tasks.clips import encoder_clips
from audioinv.tasks.features import embed, maps_of
from audioinv.tasks.labelled import Labelled, with_few_labels
from audioinv.tasks.protocols import Context, Row, Rows
from audioinv.tasks.readout import fit_readout
from audioinv.tasks.result import Result
from audioinv.tasks.scores import score_outputs
from audioinv.tasks.settings.protocols import FactorsConfig

ID = "factors-v1"
NOT_PROBED = ("offset", "shape", "fill")  # seeds and categories, which have no order
MODES = {"all": "all on", "off": "own component off"}


def rows(context: Context, settings: FactorsConfig) -> Rows:
    """One row for each parameter that varies, at all-on and with its own component off."""
    modes = MODES if context.amortised else ["all"]
    once = lru_cache(maxsize=1)(partial(changed_clips, context))
    for name, augmentation in context.bank.augmentations.items():
        for index, parameter in enumerate(augmentation.parameters):
            if parameter.name in NOT_PROBED or parameter.low == parameter.high:
                continue
            for mode in modes:
                probe = Probe(name, index, parameter, mode)
                make = partial(row, context, settings, once, probe)
                yield Row(probe.task, mode, "factors", make)


@dataclass(frozen=True)
class Probe:
    """What is predicted, a parameter (column `index`) of an augmentation, and where: MODES."""

    augmentation: str
    index: int
    parameter: Parameter
    mode: str

    @property
    def task(self) -> str:
        """What the row calls it."""
        return f"{self.augmentation}.{self.parameter.name}"

    def descriptor(self, space: DescriptorSpace) -> Tensor:
        """All on, (K,), or without the component that governs the augmentation."""
        if self.mode == "all":
            return space.all_on()
        owner = next(c for c in space.names if self.augmentation in space.groups[c])
        return space.parse(f"-{owner}")


def row(
    context: Context,
    settings: FactorsConfig,
    changed: Callable[[str], tuple[Tensor, Tensor]],
    probe: Probe,
) -> Result:
    """R^2 of one parameter at one descriptor."""
    space, layers = context.encoder.space, context.features.settings.layers
    descriptor = probe.descriptor(space)
    x, params = changed(probe.augmentation)
    targets = params[:, probe.index]
    train, test = known_and_tested(context, targets, settings.clips)
    network = context.encoder.at(descriptor)
    features = embed(network.backbone, x, layers)
    readout = fit_readout(features[train], targets[train], "regression", [])
    return Result(
        protocol=ID,
        task=probe.task,
        kind="regression",
        **score_outputs(readout.scores(features[test]), targets[test], "regression", test),
        mode=probe.mode,
        detail=MODES[probe.mode],
        unit=probe.parameter.unit,
        descriptor=space.to_dict(descriptor),
        n_train=len(train),
        layers=layers,
        readout="ridge",
        seed=context.seed,
    )


def changed_clips(context: Context, name: str) -> tuple[Tensor, Tensor]:
    """Front-end maps of every clip's first window, changed once, and the parameters (n, P)."""
    pack, augmentation = context.pack, context.bank.augmentations[name]
    params = augmentation.sample(len(pack), generator(0, "factors", name))
    parts = []
    for start in shown(range(0, len(pack), 256), "changed clips", "batches"):
        clips = range(start, min(start + 256, len(pack)))
        x = encoder_clips(context.encoder, pack, clips)
        changed = augmentation.apply(x, params[start : clips.stop])
        parts.append(maps_of(context.encoder, changed).cpu())
    return torch.cat(parts), params


def known_and_tested(context: Context, targets: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Rows to fit on, at most `most`, and to test on; where there are folds, the last is tested."""
    train, test = training_rows(context.pack), test_rows(context.pack)
    if train == test:
        fold = context.pack.frame["fold"].astype(str)
        test = np.flatnonzero(fold == fold.max()).tolist()
        train = np.flatnonzero(fold != fold.max()).tolist()
    known = Labelled(targets, "regression", [], torch.tensor(train), torch.tensor([]).long())
    few = with_few_labels(known, most // 10, 0)
    return few.train, torch.tensor(test)
