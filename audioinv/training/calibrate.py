"""Normalisation statistics of a trained encoder, from clips of its training as they are."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from audioinv.base.progress import counted
from audioinv.base.randomness import generator
from audioinv.core.bank import ClipSource
from audioinv.core.encoder import AmortisedEncoder
from audioinv.core.statistics import batch_norms, even_batches


def calibrate(encoder: AmortisedEncoder, clips: ClipSource, most: int = 512) -> None:
    """Computes the statistics of `encoder` at every corner, in place.

    Args:
        clips: of which at most `most` are taken, the same whoever asks; 0 keeps the running ones of
            training, which mix all descriptors and views, as published code does.

    Raises:
        UserError: too few clips to have a variance.
    """
    if not most:
        encoder.keep_running_statistics()
    elif batch_norms(encoder.backbone):
        with counted("normalisation statistics", "corners") as progress:
            encoder.calibrate(calibration_clips(clips, most), progress)


def calibration_clips(clips: ClipSource, most: int) -> Iterator[Tensor]:
    """Batches (b, ...) of at most `most` of the clips, a random stretch of each."""
    rows = torch.randperm(len(clips), generator=generator(0, "calibration"))[:most]
    for k, part in enumerate(even_batches(rows)):
        yield clips.batch(part, generator(0, "calibration crops", k))
