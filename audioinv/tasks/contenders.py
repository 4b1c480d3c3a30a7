"""Who stands in a comparison: an encoder, networks without pre-training, and others' networks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from audioinv.base.errors import UserError
from audioinv.base.randomness import seeded
from audioinv.core.encoder import AmortisedEncoder
from audioinv.data.modality import Modality, build_frontend, modality_of
from audioinv.data.pack import Pack
from audioinv.data.rows import some_training_rows
from audioinv.tasks import modes
from audioinv.training.calibrate import calibrate

RANDOM, SPECTRUM = "random", "spectrum"
ALL_ON = "fixed:all"


@dataclass(frozen=True)
class Contender:
    """One encoder of a comparison.

    Args:
        method: as rows and folders have it. title: of its rows; "" takes that of the method.
        size: of the packs that it wants, in the modality's unit.
        make: pack -> the encoder, frozen. modes: by which tasks learn its descriptor.
        other: whether it has nothing of the encoder that is judged.
        deep: whether it has more levels than one to choose from.
    """

    method: str
    title: str
    size: int
    make: Callable[[Pack], AmortisedEncoder]
    modes: tuple[str, ...] = (ALL_ON,)
    other: bool = False
    deep: bool = True


def contenders(
    encoder: AmortisedEncoder,
    rivals: Sequence[str],
    method: str = "amortised",
    title: str = "",
    by: Sequence[str] = (ALL_ON, "soft"),
    seed: int = 0,
) -> list[Contender]:
    """The encoder, and those that are named.

    Args:
        method, title: of the encoder, as of a `Contender`.
        rivals: random, the same architecture as it is drawn by `seed`, whose normalisation
            statistics are of the unlabelled training clips of each pack; spectrum, mean and
            deviation of the rows of the same front end; one of the modality's rivals, or
            PACKAGE.MODULE:CLASS.
        by: modes of the encoder; one that is not conditioned has all-on alone.

    Raises:
        UserError: a rival or mode that there is not, or a mode that descends gradients.
    """
    known = [modes.check(mode) for mode in by]
    if slow := [mode for mode in known if mode in ("paper", "surrogate")]:
        raise UserError(f"mode {slow[0]} learns from the network itself; give soft or search")
    modality = modality_of(encoder.frontend.modality)
    size = int(encoder.frontend.config[modality.size])
    own = tuple(known) if encoder.is_conditioned else (ALL_ON,)
    given = Contender(method, title, size, lambda pack: encoder, own)
    plain = {
        RANDOM: Contender("random", "", size, lambda pack: drawn(encoder, pack, seed)),
        SPECTRUM: Contender("logmel", "", size, lambda pack: without_network(encoder), deep=False),
    }
    others = [plain[name] if name in plain else _rival(name, modality, encoder) for name in rivals]
    return [given, *others]


def drawn(encoder: AmortisedEncoder, pack: Pack, seed: int) -> AmortisedEncoder:
    """The architecture of an encoder with random weights, and statistics of a pack's clips.

    Raises:
        UserError: the architecture is its maker's own.
    """
    with seeded(seed, "encoder"):
        made = AmortisedEncoder(
            copy.deepcopy(encoder.frontend),
            encoder.config["backbone"],
            {"name": "none"},
            encoder.space,
        )
    crops = modality_of(pack.corpus.modality).crops
    calibrate(made, crops(made.frontend, pack, some_training_rows(pack)))
    return made.eval().requires_grad_(False)


def without_network(encoder: AmortisedEncoder) -> AmortisedEncoder:
    """The front end of an encoder, and mean and deviation of its rows."""
    frontend = copy.deepcopy(encoder.frontend)
    plain = {"name": "none"}
    return AmortisedEncoder(frontend, {"name": "statistics"}, plain, encoder.space).eval()


def _rival(name: str, modality: Modality, encoder: AmortisedEncoder) -> Contender:
    kind = modality.rival(name)

    def make(pack: Pack) -> AmortisedEncoder:
        rival = kind()
        frontend = build_frontend({**rival.frontend, "modality": modality.name})
        made = AmortisedEncoder(frontend, rival, {"name": "none"}, encoder.space)
        return made.eval().requires_grad_(False)

    return Contender(name, kind.title, int(getattr(kind, modality.size)), make, other=True)
