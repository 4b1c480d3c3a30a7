"""What a component is worth to a task that needs what it governs: its parameters, read on and off.

A gap in cosine says that features move. Whether they move in a way that can be used is another
question: here clips are changed once, and a linear readout tells by how much.
"""

from __future__ import annotations

import torch
from torch import Tensor

from audioinv.base.randomness import generator
from audioinv.core.augmentation import Augmentation
from audioinv.core.bank import AugmentationBank
from audioinv.core.descriptor import flip
from audioinv.core.encoder import AmortisedEncoder
from audioinv.tasks.features import embed, maps_of
from audioinv.tasks.readout import fit_readout
from audioinv.tasks.scores import score

Read = dict[str, dict[str, float]]


@torch.no_grad()
def parameters_read(
    encoder: AmortisedEncoder, bank: AugmentationBank, learn: Tensor, test: Tensor, seed: int = 0
) -> Read:
    """ "on" and "off" -> component -> R^2 of the parameters of what it governs, read from features.

    Every clip is changed once, by one augmentation at its full range. A ridge readout of last-layer
    features is fitted to some clips and scored on others, at the all-on descriptor and with this
    one component flipped to 0. R^2 is at least 0, where the readout is no better than the mean, and
    the mean over the parameters that are quantities, and over the augmentations of a component. A
    component that governs no such parameter is left out.

    Args:
        learn, test: different clips (n, ...), (m, ...).
    """
    space, all_on = bank.space, bank.space.all_on()
    read: Read = {"on": {}, "off": {}}
    for k, component in enumerate(space.names):
        governed = [bank.augmentations[name] for name in space.groups[component]]
        told = [each for each in governed if any(p.quantity for p in each.parameters)]
        if not told:
            continue
        changed = [_changed(encoder, each, learn, test, seed) for each in told]
        for key, descriptor in (("on", all_on), ("off", flip(all_on, k))):
            network = encoder.bound(descriptor)
            scores = [
                _score(embed(network, x), embed(network, y), *targets) for x, y, *targets in changed
            ]
            read[key][component] = sum(scores) / len(scores)
    return read


def _changed(
    encoder: AmortisedEncoder, augmentation: Augmentation, learn: Tensor, test: Tensor, seed: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Maps of both parts, changed, and the parameters that changed them."""
    keyed = generator(seed, "worth", augmentation.name)
    drawn = augmentation.sample(len(learn) + len(test), keyed)
    told = [k for k, parameter in enumerate(augmentation.parameters) if parameter.quantity]
    unit = drawn[:, told].std(0).clamp_min(1e-12)  # they share the readout's strength
    maps, targets = [], []
    for x, params in zip((learn, test), drawn.split((len(learn), len(test))), strict=True):
        maps.append(maps_of(encoder, augmentation.apply(x, params.to(x.device))))
        targets.append(params[:, told] / unit)
    return maps[0], maps[1], targets[0], targets[1]


def _score(learn: Tensor, test: Tensor, learn_targets: Tensor, test_targets: Tensor) -> float:
    readout = fit_readout(learn, learn_targets, "regression", [])
    outputs = readout.scores(test)
    each = [
        max(0.0, score(outputs[:, [k]], test_targets[:, k], "regression"))
        for k in range(outputs.shape[1])
    ]
    return sum(each) / len(each)
