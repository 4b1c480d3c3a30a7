"""Clips of a pack as batches: random crops for pre-training, fixed ones for everything after it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from audioinv.audio.io import FULL_SCALE
from audioinv.core.bank import ALL
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
    """Training clips: a random stretch of `n_samples` of each.

    Args:
        pack: at the front end's sample rate. rows: which of its clips.
        repeat: fill up shorter clips with themselves instead of zeros.
    """

    def __init__(
        self, pack: Pack, rows: Sequence[int], n_samples: int, repeat: bool = False
    ) -> None:
        self.pack = pack
        self.rows = np.asarray(rows)
        self.n_samples = n_samples
        self.repeat = repeat

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, indices: Tensor, generator: torch.Generator, own: slice = ALL) -> Tensor:
        """Waveforms (B, n_samples) of the clips at `indices[own]` of `rows`."""
        chosen = indices[own].numpy()
        position = torch.rand(len(indices), generator=generator)[own].double().numpy()
        clips = [self.pack.samples(row) for row in self.rows[chosen].tolist()]
        spare = np.array([max(len(clip) - self.n_samples, 0) for clip in clips])
        starts = (position * (spare + 1)).astype(int).tolist()
        return _cut(clips, starts, self.n_samples, self.repeat)


def fixed_clips(pack: Pack, rows: Sequence[int], n_samples: int, repeat: bool = False) -> Tensor:
    """The first `n_samples` of each clip, (n, n_samples): what tasks and measurements see."""
    return waveforms(pack, [int(row) for row in rows], n_samples, repeat=repeat)


def windows_of(
    pack: Pack,
    n_samples: int,
    hop: int = 0,
    repeat: bool = False,
    rows: Sequence[int] | None = None,
    batch_size: int = 256,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Windows of every clip, or of those at some rows, in batches: waveforms (b, n_samples) and the
    clip of each, (b,).

    Args:
        hop: samples from one window to the next; only whole windows count, but every clip has one.
            0 takes the first of each.
    """
    wanted = np.arange(len(pack)) if rows is None else np.asarray(rows, dtype=np.int64)
    lengths = pack.frame["n_samples"].to_numpy()[wanted]
    counts = 1 + (np.maximum(lengths - n_samples, 0) // hop if hop else np.zeros_like(lengths))
    owner = np.repeat(wanted, counts)
    place = np.arange(len(owner)) - np.repeat(counts.cumsum() - counts, counts)
    for start in range(0, len(owner), batch_size):
        clips = owner[start : start + batch_size]
        offsets = (place[start : start + batch_size] * hop).tolist()
        x = waveforms(pack, clips.tolist(), n_samples, offsets, repeat)
        yield x, torch.from_numpy(clips)
