"""Whatever a user has as clips, as the source that pre-training draws batches from."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator
from audioinv.base.tensors import device_of
from audioinv.core.bank import ALL, AugmentationBank, ClipSource, Rows
from audioinv.core.embedding import maps_for
from audioinv.core.encoder import AmortisedEncoder
from audioinv.data.fitting import BATCH, FROM_SHARDS, batches_of
from audioinv.data.modality import modality_of
from audioinv.data.pack import Pack
from audioinv.data.rows import some_training_rows
from audioinv.training.processes import is_first_process

log = logging.getLogger(__name__)


class TensorClips:
    """Clips (n, ...) in memory, without crops."""

    def __init__(self, x: Tensor) -> None:
        self.x = x

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, indices: Tensor, generator: torch.Generator, own: Rows = ALL) -> Tensor:
        """The clips (B, ...) at `indices[own]`."""
        return self.x[indices[own]]


def training_clips(clips: Pack | Tensor | ClipSource, encoder: AmortisedEncoder) -> ClipSource:
    """The training rows of a pack, as its modality cuts them; clips (n, ...); or a source as it is.

    Raises:
        UserError: the pack or the clips have another size than the front end wants, or are no
            finite fractions, or this is no clips.
    """
    if isinstance(clips, Pack):
        modality = modality_of(clips.corpus.modality)
        modality.check(clips, encoder.frontend)
        return modality.crops(encoder.frontend, clips, some_training_rows(clips))
    if isinstance(clips, Tensor):
        fractions = clips.is_floating_point() and bool(clips.isfinite().all())
        if clips.ndim < 2 or not fractions:
            raise UserError(
                f"clips are {clips.dtype} {tuple(clips.shape)}; give finite fractions (n, ...), of "
                "sounds in [-1, 1]"
            )
        with torch.no_grad():
            for clip in clips[:1]:
                maps_for(encoder.frontend, clip[None].to(device_of(encoder)))
        return TensorClips(clips)
    if not (hasattr(clips, "batch") and hasattr(clips, "__len__")):
        raise UserError(
            f"clips are a {type(clips).__name__}; give a pack, a tensor (n, ...) or an object with "
            "batch(indices, generator, own) and a length"
        )
    return clips


def fit_frontend(
    encoder: AmortisedEncoder, clips: Pack | Tensor | ClipSource, source: ClipSource
) -> None:
    """Gives a front end that has no statistics those of the clips, whose `source` draws batches."""
    frontend: Any = encoder.frontend
    if getattr(frontend, "is_fitted", True) or not len(source):  # which the loop refuses
        return
    device = device_of(encoder)
    given = clips if isinstance(clips, Pack | Tensor) else _in_order(source)
    values = frontend.cpu().fit_statistics(batches_of(given, frontend))
    frontend.to(device)
    if frontend.is_fitted and is_first_process():  # one of waveforms has none
        log.info(
            "the front end had no statistics: it takes mean %s and standard deviation %s of the "
            "training clips; fit=False leaves its maps as they are", values["mean"], values["std"],
        )  # fmt: skip


def _in_order(source: ClipSource) -> Iterator[Tensor]:
    """Batches of the first clips of a source."""
    for rows in torch.arange(min(len(source), FROM_SHARDS)).split(BATCH):
        yield source.batch(rows, generator(0, "statistics", int(rows[0])))


def training_bank(bank: AugmentationBank, encoder: AmortisedEncoder) -> AugmentationBank:
    """What makes views for the encoder: `bank`, unless its front end has a way of its own."""
    own: Any = getattr(encoder.frontend, "training_bank", None)
    made: AugmentationBank = own(bank) if own else bank
    return made
