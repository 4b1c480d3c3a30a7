"""Measured invariance: how little features move between a clip and its augmented self."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.progress import shown
from audioinv.core.bank import AugmentationBank
from audioinv.core.descriptor import flip
from audioinv.core.encoder import AmortisedEncoder
from audioinv.core.quality import augmented_alone, centred_cosine
from audioinv.data.pack import Pack
from audioinv.data.rows import sample_rows, test_rows, training_rows
from audioinv.tasks.clips import encoder_clips
from audioinv.tasks.features import embed, maps_of
from audioinv.tasks.settings.protocols import MeasureConfig
from audioinv.tasks.worth import parameters_read


def measure_pack(
    encoder: AmortisedEncoder,
    bank: AugmentationBank,
    pack: Pack,
    settings: MeasureConfig,
    seed: int = 0,
) -> dict[str, Any]:
    """`measure_invariance` on test clips of a pack, and what `parameters_read` from them."""
    tested = sample_rows(test_rows(pack), settings.n_clips, seed, "measure")
    clips = encoder_clips(encoder, pack, tested)
    found = measure_invariance(encoder, bank, clips, seed)
    others = sorted(set(training_rows(pack)) - set(tested))
    learn = sample_rows(others, settings.n_learn, seed, "worth")
    if len(learn) < 2:
        return found
    read = parameters_read(encoder, bank, encoder_clips(encoder, pack, learn), clips, seed)
    return {**found, "read": {**read, "n_learn": len(learn)}}


def measure_invariance(
    encoder: AmortisedEncoder, bank: AugmentationBank, x: Tensor, seed: int = 0
) -> dict[str, Any]:
    """On- and off-cosine of every component, and the whole matrix descriptors x augmentations.

    "on" is the all-on descriptor; "off" flips one component of it to 0. A component that governs
    several augmentations is given their mean.

    Args:
        x: clips (n, ...) that the encoder was not trained on.

    Raises:
        UserError: fewer than two clips: the features of one, centred, are zero.
    """
    if len(x) < 2:
        raise UserError(f"invariance is measured on 2 test clips or more, there are {len(x)}")
    space = bank.space
    clean = maps_of(encoder, x)
    copies = {n: maps_of(encoder, augmented_alone(bank, n, x, seed)) for n in bank.augmentations}
    descriptors = [space.all_on()] + [flip(space.all_on(), k) for k in range(space.size)]
    matrix = []
    for descriptor in shown(descriptors, "measuring", "descriptors"):
        network = encoder.at(descriptor).backbone
        features = embed(network, clean)
        matrix.append({n: centred_cosine(features, embed(network, y)) for n, y in copies.items()})
    on = {name: _mean(matrix[0], space.groups[name]) for name in space.names}
    off = {n: _mean(matrix[1 + k], space.groups[n]) for k, n in enumerate(space.names)}
    return {
        "names": list(space.names),
        "n_clips": len(x),
        "seed": seed,
        "on": on,
        "off": off,
        "gap": {name: on[name] - off[name] for name in space.names},
        "matrix": {
            "rows": ["all on"] + [f"{name} off" for name in space.names],
            "columns": list(copies),
            "cosine": [list(row.values()) for row in matrix],
        },
    }


def _mean(row: dict[str, float], names: Any) -> float:
    return sum(row[name] for name in names) / len(names)
