"""Clips of any length -> windows -> features: what `AmortisedEncoder.embed` is made of.

What a front end can read, and how that becomes windows, is its own affair: if it has

    sources(x, sample_rate, hop_s, drop_last) -> Sources

that is asked; a front end without it takes arrays of clips of its own size.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from audioinv.base.errors import UserError
from audioinv.base.near import unknown
from audioinv.base.tensors import device_of
from audioinv.core.backbone import LAYERS

POOLS = ("mean", "max")
Stretch = tuple[Tensor, float, float]
log = logging.getLogger(__name__)


class Windows(NamedTuple):
    """A batch of windows: `x` (b, ...), the clip of each (b,), ascending, and where in it they lie,
    in seconds (b,), float64; NaN where clips have no time."""

    x: Tensor
    clip: Tensor
    start_s: Tensor
    end_s: Tensor


class Sources(Protocol):
    """Clips by name, and their windows."""

    @property
    def names(self) -> Sequence[str]: ...

    def batches(self, batch_size: int, clips: Sequence[int] | None = None) -> Iterator[Windows]:
        """Windows of all clips, or of some, in the order of their numbers."""
        ...


@dataclass(frozen=True)
class Stretches:
    """Sources that are cut clip by clip.

    Args:
        names: of the clips. cut: number of a clip -> its windows (...), each with start and end in
            seconds, one after the other.
    """

    names: Sequence[str]
    cut: Callable[[int], Iterable[Stretch]]

    def batches(self, batch_size: int, clips: Sequence[int] | None = None) -> Iterator[Windows]:
        """As `Sources` says; a batch may hold windows of several clips."""
        held: list[tuple[int, Stretch]] = []
        for clip in range(len(self.names)) if clips is None else clips:
            for stretch in self.cut(clip):
                held.append((clip, stretch))
                if len(held) == batch_size:
                    yield _batch(held)
                    held = []
        if held:
            yield _batch(held)


def _batch(held: Sequence[tuple[int, Stretch]]) -> Windows:
    return Windows(
        torch.stack([x for _, (x, _, _) in held]),
        torch.tensor([clip for clip, _ in held]),
        torch.tensor([start for _, (_, start, _) in held], dtype=torch.float64),
        torch.tensor([end for _, (_, _, end) in held], dtype=torch.float64),
    )


class Rows(NamedTuple):
    """Features (k, d) of windows, with the clip of each and where in it they lie, in seconds (k,);
    or of whole clips, where the seconds are NaN."""

    features: Tensor
    clip: Tensor
    start_s: Tensor
    end_s: Tensor


@dataclass(frozen=True)
class Frames:
    """Features of windows, with where they lie.

    Args:
        features: (m, d). start_s, end_s: (m,) float64, in the clip. clip: (m,), its number.
        names: of all clips.
    """

    features: Tensor
    start_s: Tensor
    end_s: Tensor
    clip: Tensor
    names: Sequence[str]


@dataclass(frozen=True)
class Mixed:
    """Parts whose features stand side by side: descriptors (M, K), weights (M,), at most 1 in all,
    and the columns (M, 2) that each takes of its descriptor's features; None takes all."""

    descriptors: Tensor
    weights: Tensor
    spans: Tensor | None = None

    def of(self, features: Sequence[Tensor]) -> Tensor:
        """Features (b, D) on the CPU, by all features (b, d) at the descriptor of each part: each
        part times the root of its weight."""
        scales = self.weights.sqrt().tolist()
        parts = zip(scales, cut(features, self.spans), strict=True)
        return torch.cat([scale * part for scale, part in parts], 1).float().cpu()


def cut(features: Sequence[Tensor], spans: Tensor | None) -> Sequence[Tensor]:
    """Of the features (n, d) of each part the columns of its span, (M, 2); None takes all."""
    if spans is None:
        return features
    return [f[:, a:b] for f, (a, b) in zip(features, spans.tolist(), strict=True)]


def mixture_of(encoder: Any, descriptor: Any) -> Mixed:
    """What names one descriptor or several: as of `AmortisedEncoder.embed`."""
    several = getattr(descriptor, "mixture", descriptor)
    if hasattr(several, "descriptors") and hasattr(several, "weights"):
        spans = getattr(several, "spans", None)
        return Mixed(several.descriptors, several.weights, spans)
    return Mixed(encoder.space.of(descriptor)[None], torch.ones(1))


def arrays(x: Any) -> Tensor:
    """Numbers as float32 on the CPU.

    Raises:
        UserError: they are none.
    """
    try:
        given = x.detach() if isinstance(x, Tensor) else torch.from_numpy(np.asarray(x))
        return given.to("cpu", torch.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"clips are numbers, (n, ...): {error}") from error


def whole_clips(frontend: Any, x: Any) -> Stretches:
    """Clips (n, ...) of the front end's own size, each of which is a window.

    Raises:
        UserError: no clips, or numbers that are not finite.
    """
    clips = arrays(x)
    if clips.ndim < 2 or not len(clips):
        raise UserError(f"clips are (n, ...) with n above 0, got {tuple(clips.shape)}")

    def cut(number: int) -> Iterator[Stretch]:
        if not bool(clips[number].isfinite().all()):
            raise UserError(f"clip {number} has values that are not finite")
        yield clips[number], float("nan"), float("nan")

    return Stretches([str(number) for number in range(len(clips))], cut)


def sources_of(
    frontend: Any, x: Any, sample_rate: int | None, hop_s: float | None, drop_last: bool
) -> Sources:
    """What a front end can read, as windows.

    Raises:
        UserError: it cannot read `x`, or a hop below 0.
    """
    if hop_s is not None and not hop_s >= 0:
        raise UserError(f"hop_s is {hop_s}; give seconds, 0 for the first window alone")
    if hasattr(frontend, "sources"):
        found: Sources = frontend.sources(x, sample_rate, hop_s, drop_last)
        return found
    if sample_rate is not None:
        raise UserError(f"clips of {type(frontend).__name__} have no rate; leave sample_rate out")
    return whole_clips(frontend, x)


@torch.no_grad()
def features_of(
    frontend: Any,
    networks: Sequence[nn.Module],
    batches: Iterable[Windows],
    levels: str = "last",
) -> Iterator[tuple[Windows, list[Tensor]]]:
    """Batches of windows with the features (b, d) of each network.

    Raises:
        UserError: windows that the front end cannot take.
    """
    if levels not in LAYERS:
        raise unknown("features.layers", levels, LAYERS)
    device = device_of(networks[0])
    told = False
    for part in batches:
        maps = maps_for(frontend, part.x.to(device))
        found = [net(maps, levels) for net in networks]
        if not told and bool((part.start_s > 0).any()):
            told = True
            log.info("clips longer than the encoder's window have several windows, which all count")
        yield part, found


def maps_for(frontend: Any, x: Tensor) -> Tensor:
    """Maps (n, C, H, W) of clips `x` (n, ...).

    Raises:
        UserError: the front end cannot take them, or they are not of the size that it wants.
    """
    wanted, size = tuple(frontend.output_size), tuple(x.shape[1:])
    try:
        maps: Tensor = frontend(x)
    except (RuntimeError, ValueError, IndexError) as error:
        raise UserError(f"the front end cannot take clips of size {size}: {error}") from error
    if tuple(maps.shape[1:]) != wanted:
        raise UserError(
            f"clips of size {size} become maps {tuple(maps.shape[1:])} and the encoder wants "
            f"{wanted}; cut or fill them up to its length"
        )
    return maps


def pooled(
    parts: Iterable[tuple[Windows, Tensor]], pool: str = "mean"
) -> Iterator[tuple[Tensor, Tensor]]:
    """Clips (k,) and their features (k, d) from those of their windows, as soon as they are whole.

    Args:
        parts: of `features_of`. pool: mean or max over a clip's windows.

    Raises:
        UserError: another pool.
    """
    if pool not in POOLS:
        raise unknown("features.pool", pool, POOLS)
    joined: Tensor | None = None  # of the clip that may go on in the next batch
    count, clip = 0, -1
    for windows, features in parts:
        clips, counts = windows.clip.unique_consecutive(return_counts=True)
        done: list[tuple[int, Tensor]] = []
        for number, rows in zip(clips.tolist(), features.split(counts.tolist()), strict=True):
            own = rows.double().sum(0) if pool == "mean" else rows.amax(0)
            if number == clip and joined is not None:
                joined = joined + own if pool == "mean" else torch.maximum(joined, own)
                count += len(rows)
                continue
            if joined is not None:
                done.append((clip, _closed(joined, count, pool)))
            joined, count, clip = own, len(rows), number
        if done:
            yield torch.tensor([n for n, _ in done]), torch.stack([row for _, row in done])
    if joined is not None:
        yield torch.tensor([clip]), _closed(joined, count, pool)[None]


def _closed(joined: Tensor, count: int, pool: str) -> Tensor:
    return (joined / count).float() if pool == "mean" else joined


def rows_of(
    parts: Iterable[tuple[Windows, Tensor]], pool: str = "mean", frames: bool = False
) -> Iterator[Rows]:
    """What `features_of` gives, a row a clip, or a row a window (`frames`)."""
    if frames:
        for windows, features in parts:
            yield Rows(features, windows.clip, windows.start_s, windows.end_s)
        return
    for clips, features in pooled(parts, pool):
        nowhere = torch.full((len(clips),), torch.nan, dtype=torch.float64)
        yield Rows(features, clips, nowhere, nowhere)


def batch_for(encoder: nn.Module) -> int:
    """How many windows run together: little memory on a processor, much work on a GPU."""
    return 32 if device_of(encoder).type == "cpu" else 256


def stream(
    encoder: Any,
    sources: Sources,
    descriptor: Any = "all",
    pool: str = "mean",
    levels: str | None = None,
    frames: bool = False,
    batch_size: int | None = None,
    clips: Sequence[int] | None = None,
) -> Iterator[Rows]:
    """What `AmortisedEncoder.embed` gives, as soon as it is there: no more than a batch is held.

    Args:
        clips: numbers of those that are wanted, ascending; None takes all.
    """
    mixture = mixture_of(encoder, descriptor)
    distinct, place = mixture.descriptors.unique(dim=0, return_inverse=True)
    networks = [encoder.at(each).backbone for each in distinct]
    levels = levels or str(getattr(descriptor, "levels", "last"))
    batches = sources.batches(batch_size or batch_for(encoder), clips)
    found = features_of(encoder.frontend, networks, batches, levels)
    parts = ((windows, mixture.of([f[k] for k in place.tolist()])) for windows, f in found)
    return rows_of(parts, pool, frames)


def followed(
    rows: Iterable[Rows], total: int, progress: Callable[[int, int], None]
) -> Iterator[Rows]:
    """Passes rows on, telling how many clips are done."""
    for part in rows:
        yield part
        progress(int(part.clip[-1]) + 1, total)


def together(rows: Iterable[Rows], names: Sequence[str]) -> Frames:
    """All rows, in one piece."""
    features, clip, start_s, end_s = (torch.cat(each) for each in zip(*rows, strict=True))
    return Frames(features, start_s, end_s, clip, names)
