"""Sounds as a user has them, as windows: packs, files of any length, arrays."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from audioinv.audio.clips import stretches, waveform
from audioinv.audio.faults import LOUDEST
from audioinv.audio.heard import CANCEL, Heard
from audioinv.audio.io import pcm_blocks, resampled
from audioinv.base.errors import UserError
from audioinv.core.embedding import Stretch, Stretches
from audioinv.data.media import Samples
from audioinv.data.pack import Pack

if TYPE_CHECKING:
    from audioinv.audio.frontend import Frontend

log = logging.getLogger(__name__)
MOST_CHANNELS = 64
Blocks = Callable[[int], Iterable[Samples]]


def from_pack(frontend: Frontend, pack: Pack, hop: int, drop_last: bool) -> Stretches:
    """The clips of a pack, by their ids."""
    names = [str(name) for name in pack.frame["id"]]
    return _cut(frontend, names, lambda clip: [pack.samples(clip)], hop, drop_last)


def from_files(frontend: Frontend, files: Sequence[Path], hop: int, drop_last: bool) -> Stretches:
    """Files, by their paths: mixed and resampled to what a pack would hold of them.

    A long one is read as its windows are wanted.
    """
    rate = frontend.config["sample_rate"]
    names = [str(file) for file in files]
    return _cut(frontend, names, lambda clip: pcm_blocks(files[clip], rate), hop, drop_last)


def from_arrays(
    frontend: Frontend, x: Any, sample_rate: int | None, hop: int, drop_last: bool
) -> Stretches:
    """One clip (T,), several (B, T) or (B, C, T), or a list of (T,) and (C, T), by their numbers.

    Raises:
        UserError: other shapes, or no clips.
    """
    rate = frontend.config["sample_rate"]
    clips = _clips(x)
    names = [str(number) for number in range(len(clips))]

    def blocks(clip: int) -> list[Samples]:
        samples, name = _numbers(clips[clip]), f"clip {clip}"
        return [mono_of(samples, name, rate if sample_rate is None else sample_rate, rate)]

    return _cut(frontend, names, blocks, hop, drop_last)


def _cut(
    frontend: Frontend, names: Sequence[str], blocks: Blocks, hop: int, drop_last: bool
) -> Stretches:
    n, rate, repeats = frontend.n_samples, frontend.config["sample_rate"], frontend.repeats

    def cut(clip: int) -> Iterator[Stretch]:
        for start, part in stretches(blocks(clip), n, hop, drop_last):
            yield waveform(part, n, repeats), start / rate, (start + len(part)) / rate

    return Stretches(names, cut)


def _clips(x: Any) -> Sequence[Any]:
    """The clips that an array or a list holds."""
    if isinstance(x, list | tuple) and x and all(getattr(each, "ndim", 0) for each in x):
        return x
    whole: Any = x if isinstance(x, Tensor) else _numbers(x)
    shape = tuple(whole.shape)
    if len(shape) not in (1, 2, 3) or not all(shape):
        raise UserError(
            f"clips are {shape}; give (samples,), (clips, samples), (clips, channels, samples), "
            "files, a folder or a pack"
        )
    if len(shape) > 1 and shape[-1] <= MOST_CHANNELS < shape[-2]:
        raise UserError(
            f"clips are {shape}, samples before channels as it seems; give (clips, samples) or "
            "(clips, channels, samples)"
        )
    one: Sequence[Any] = [whole] if len(shape) == 1 else whole
    return one


def _numbers(x: Any) -> Samples:
    if isinstance(x, Tensor):
        x = x.detach().cpu()
        return (x.float() if x.is_floating_point() else x).numpy()
    try:
        return np.asarray(x)
    except ValueError as error:
        raise UserError(f"clips are an array, or a list of arrays: {error}") from error


def mono_of(samples: NDArray[Any], name: str, from_rate: int, to_rate: int) -> NDArray[np.float32]:
    """The mean over channels of samples (n,) or (channels, n), resampled from Hz to Hz: (n,).

    Args:
        samples: nominally in [-1, 1], or integers of 16 or 32 bits. name: of the clip, for errors.

    Raises:
        UserError: another shape or type, no samples, ones that are not finite or above LOUDEST, or
            rates that are none or too far apart.
    """
    if samples.ndim not in (1, 2) or not samples.size:
        raise UserError(f"{name} is {samples.shape}; give (samples,) or (channels, samples)")
    if samples.dtype.kind == "i" and samples.dtype.itemsize in (2, 4):
        samples = samples / (-float(np.iinfo(samples.dtype).min))
    if samples.dtype.kind != "f":
        raise UserError(f"{name} holds {samples.dtype}; give floats in [-1, 1], or int16 or int32")
    if not np.isfinite(samples).all():
        raise UserError(f"{name} has NaN or infinite samples; repair it")
    if (loudest := np.abs(samples).max()) > LOUDEST:
        raise UserError(f"{name} has samples of {loudest:.3g} where full scale is 1; divide them")
    mono = samples.astype(np.float32)
    if mono.ndim == 2:
        heard = Heard()
        mono = heard.mix(mono.T)
        if heard.cancelled:
            log.warning("%s is silent: %s", name, CANCEL)
    if from_rate == to_rate:
        return mono
    try:
        return next(resampled(iter([mono]), len(mono), from_rate, to_rate))
    except (RuntimeError, ValueError) as error:  # no rate, or too far apart for soxr
        raise UserError(f"{name}: {from_rate} Hz to {to_rate} Hz: {error}") from error
