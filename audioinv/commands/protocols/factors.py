"""Probes of the augmentations' own parameters: what the descriptor keeps, and what it removes.

Every clip is changed once by an augmentation with drawn parameters; ridge regression predicts each
of them from the frozen feature of the changed clip. Where the component is off, the feature
should tell how many semitones it was; where it is on, it should not.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audioinv.base.randomness import generator
from audioinv.commands.protocols import Context, Rows
from audioinv.core.augmentation import Parameter
from audioinv.data.rows import test_rows, training_rows
from audioinv.runs.build import encoder_clips, is_amortised
from audioinv.runs.folder import task_folder
from audioinv.tasks.features import embed, maps_of
from audioinv.tasks.labelled import Labelled, with_few_labels
from audioinv.tasks.readout import fit_readout
from audioinv.tasks.scores import score_outputs

ID = "factors-v1"
NOT_PROBED = ("offset", "shape", "fill")  # seeds and categories, which have no order
MODES = {"all": "all on", "off": "own component off"}


def rows(context: Context) -> Rows:
    """One row for each parameter that varies, at all-on and with its own component off."""
    modes = MODES if is_amortised(context.config) else ["all"]
    once = lru_cache(maxsize=1)(partial(changed_clips, context))
    for name, augmentation in context.bank.augmentations.items():
        for index, parameter in enumerate(augmentation.parameters):
            if parameter.name in NOT_PROBED or parameter.low == parameter.high:
                continue
            for mode in modes:
                folder = task_folder(context.out, f"{name}.{parameter.name}", mode) / "factors"
                yield folder, partial(row, context, once, name, index, parameter, mode)


def row(
    context: Context,
    changed: Callable[[str], tuple[Tensor, Tensor]],
    name: str,
    index: int,
    parameter: Parameter,
    mode: str,
) -> dict[str, Any]:
    """R^2 of one parameter at one descriptor."""
    space = context.encoder.space
    descriptor = space.all_on()
    if mode == "off":
        owner = next(c for c in space.names if name in space.groups[c])
        descriptor = space.parse(f"-{owner}")
    x, params = changed(name)
    targets = params[:, index]
    train, test = known_and_tested(context, targets)
    calibration = context.features.calibration
    network = context.encoder.at(descriptor, calibration.split(256) if len(calibration) else ())
    features = embed(network.backbone, x, context.config.features.layers)
    readout = fit_readout(features[train], targets[train], "regression", [])
    return {
        "protocol": ID,
        "task": f"{name}.{parameter.name}",
        "kind": "regression",
        **score_outputs(readout.scores(features[test]), targets[test], "regression", test),
        "mode": mode,
        "mode_label": MODES[mode],
        "unit": parameter.unit,
        "descriptor": space.to_dict(descriptor),
        "n_train": len(train),
        "layers": context.config.features.layers,
        "readout": "ridge",
        "seed": context.config.seed,
    }


def changed_clips(context: Context, name: str) -> tuple[Tensor, Tensor]:
    """Front-end maps of every clip's first window, changed once, and the parameters (n, P)."""
    pack, augmentation = context.pack, context.bank.augmentations[name]
    params = augmentation.sample(len(pack), generator(0, "factors", name))
    parts = []
    for start in range(0, len(pack), 256):
        clips = range(start, min(start + 256, len(pack)))
        x = encoder_clips(context.encoder, pack, clips)
        parts.append(maps_of(context.encoder, augmentation.apply(x, params[start : clips.stop])))
    return torch.cat(parts), params


def known_and_tested(context: Context, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Rows to fit on and rows to test on; where there are folds, the last is tested."""
    train, test = training_rows(context.pack), test_rows(context.pack)
    if train == test:
        fold = context.pack.frame["fold"].astype(str)
        test = np.flatnonzero(fold == fold.max()).tolist()
        train = np.flatnonzero(fold != fold.max()).tolist()
    known = Labelled(targets, "regression", [], torch.tensor(train), torch.tensor([]).long())
    few = with_few_labels(known, context.config.factors.clips // 10, 0)
    return few.train, torch.tensor(test)
