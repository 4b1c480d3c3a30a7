"""Clips of a pack as batches: random crops for pre-training, fixed ones for everything after it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from audioinv.audio.pcm import FULL_SCALE
from audioinv.core.bank import ALL, Rows
from audioinv.data.media import Samples
from audioinv.data.pack import Pack


def waveforms(
    pack: Pack,
    indices: Sequence[int],
    n_samples: int,
    offsets: Sequence[int] | None = None,
    repeat: bool = False,
) -> Tensor:
    """`n_samples` of each clip, from sample `offsets[b]` (default 0).

    Args:
        repeat: what follows the end of a clip: itself again (True) or zeros (False).

    Returns:
        (B, n_samples) float32 in [-1, 1).

    Raises:
        IndexError: no such clip, or an offset outside its clip.
    """
    starts = [0] * len(indices) if offsets is None else [int(offset) for offset in offsets]
    return _cut((pack.samples(int(index)) for index in indices), starts, n_samples, repeat)


def _cut(clips: Iterable[Samples], starts: Sequence[int], n_samples: int, repeat: bool) -> Tensor:
    """`n_samples` of each clip from its start, (B, n_samples) float32 in [-1, 1)."""
    pcm = np.zeros((len(starts), n_samples), np.int16)
    for row, clip, start in zip(pcm, clips, starts, strict=True):
        if not 0 <= start < len(clip):
            raise IndexError(f"offset {start} in a clip of {len(clip)} samples")
        part = clip[start : start + n_samples]
        if repeat:
            row[:] = np.resize(part, n_samples)
        else:
            row[: len(part)] = part
    return torch.from_numpy(pcm).to(torch.float32).div_(FULL_SCALE)


class RandomCrops:
    """Training clips: random stretches of `n_samples`, as many entries a clip as it has windows.

    A clip of L samples counts max(1, floor(L / n_samples)) times, and each time a stretch is drawn
    anywhere in it: an epoch takes of every recording in proportion to its length, and one of ten
    hours fills batches as thousands of short ones do. Several entries of a batch may be of one
    recording, and may overlap.

    Args:
        pack: at the front end's sample rate. rows: which of its clips. Where it does not know
            lengths before decoding (shards), each counts once.
        repeat: fill up shorter clips with themselves instead of zeros.
    """

    def __init__(
        self, pack: Pack, rows: Sequence[int], n_samples: int, repeat: bool = False
    ) -> None:
        self.pack = pack
        self.rows = np.asarray(rows, np.int64)
        self.n_samples = n_samples
        self.repeat = repeat
        counts = np.ones(len(self.rows), np.int64)
        if "n_samples" in pack.frame:
            counts = np.maximum(pack.frame["n_samples"].to_numpy()[self.rows] // n_samples, 1)
        self.ends = counts.cumsum()  # of each clip's entries; an entry is found by bisection

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def batch(self, indices: Tensor, generator: torch.Generator, own: Rows = ALL) -> Tensor:
        """Waveforms (B, n_samples) of the entries `indices[own]`."""
        chosen = self.rows[np.searchsorted(self.ends, indices[own].numpy(), side="right")]
        position = torch.rand(len(indices), generator=generator)[own].double().numpy()
        clips = [self.pack.samples(row) for row in chosen.tolist()]
        spare = np.array([max(len(clip) - self.n_samples, 0) for clip in clips])
        starts = (position * (spare + 1)).astype(int).tolist()
        return _cut(clips, starts, self.n_samples, self.repeat)


def fixed_clips(pack: Pack, rows: Sequence[int], n_samples: int, repeat: bool = False) -> Tensor:
    """The first `n_samples` of each clip, (n, n_samples): what tasks and measurements see."""
    return waveforms(pack, [int(row) for row in rows], n_samples, repeat=repeat)


def windows_of(
    pack: Pack,
    n_samples: int,
    hop: int,
    repeat: bool = False,
    drop_last: bool = False,
    rows: Sequence[int] | None = None,
    batch_size: int = 256,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Windows of every clip, or of those at some rows, as `stretches` cuts them, in batches:
    waveforms (b, n_samples) and the clip of each, (b,)."""
    parts = (
        (row, part)
        for row in (range(len(pack)) if rows is None else rows)
        for _, part in stretches([pack.samples(int(row))], n_samples, hop, drop_last)
    )
    while batch := list(islice(parts, batch_size)):
        owners, clips = zip(*batch, strict=True)
        yield _cut(clips, [0] * len(clips), n_samples, repeat), torch.tensor(owners)


def stretches(
    blocks: Iterable[Samples], n: int, hop: int, drop_last: bool = False
) -> Iterator[tuple[int, Samples]]:
    """The windows of one clip: where each begins, and its samples (n,), fewer in a shorter clip.

    They begin every `hop` samples, as long as they lie within the clip, and one more ends with it,
    so that nothing is left out. This is the only place that says which windows a clip has.

    Args:
        blocks: the clip (m,) in parts; no more of it is held than a window and a part.
        hop: above 0; or 0 for the first window alone.
        drop_last: without the one that ends with the clip, unless a hop leads to it.
    """
    held: Samples = np.empty(0, np.int16)
    begin = start = last = 0  # of what is held, of the next window, of the last one
    for block in blocks:
        held = np.concatenate([held, block]) if len(held) else block
        end = begin + len(held)
        while start + n <= end:
            yield start, held[start - begin : start - begin + n]
            if not hop:
                return
            last, start = start, start + hop
        kept = max(begin, min(start, end - n))
        held, begin = held[kept - begin :], kept
    end = begin + len(held)
    if start == 0:
        yield 0, held
    elif last + n < end and not drop_last:
        yield end - n, held[end - n - begin :]


def waveform(part: Samples, n: int, repeat: bool) -> Tensor:
    """A window (m,) of at most `n` samples, 16 bits or floats, as (n,) float32 in [-1, 1)."""
    if part.dtype == np.int16:
        return _cut([part], [0], n, repeat)[0]
    row = np.resize(part, n) if repeat else np.pad(part, (0, n - len(part)))
    return torch.from_numpy(row.astype(np.float32, copy=True))
