"""Series of a pack as batches (B, 4, n)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from audioinv.core.bank import ALL
from audioinv.data.pack import Pack
from tests.modality_series.recordings import CHANNELS


def cut(pack: Pack, rows: Sequence[int], starts: Sequence[int], n: int) -> Tensor:
    """`n` moments of each row from its start, zeros behind its end."""
    values = torch.zeros(len(rows), n, CHANNELS)
    for clip, row, start in zip(values, rows, starts, strict=True):
        part = pack.samples(int(row))[start * CHANNELS : (start + n) * CHANNELS]
        clip.view(-1)[: len(part)] = torch.from_numpy(part.copy())
    return values.transpose(1, 2).contiguous()


def lengths(pack: Pack) -> np.ndarray:
    """Moments of every row."""
    return pack.frame["n_samples"].to_numpy() // CHANNELS


class RandomCrops:
    """A random stretch of each row."""

    def __init__(self, pack: Pack, rows: Sequence[int], n: int) -> None:
        self.pack, self.rows, self.n = pack, np.asarray(rows), n
        self.room = torch.tensor((lengths(pack)[self.rows] - n).clip(0))

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, indices: Tensor, generator: torch.Generator, own: slice = ALL) -> Tensor:
        places = torch.rand(len(indices), generator=generator) * (self.room[indices] + 1)
        rows = self.rows[indices[own].numpy()].tolist()
        return cut(self.pack, rows, places[own].long().tolist(), self.n)


def windows(
    pack: Pack, n: int, hop: int, rows: Sequence[int] | None = None, batch_size: int = 256
) -> Iterator[tuple[Tensor, Tensor]]:
    """Windows `hop` moments apart, one at least of each row; 0 takes the first alone."""
    chosen = range(len(pack)) if rows is None else rows
    counts = 1 + ((lengths(pack) - n).clip(0) // hop if hop else np.zeros(len(pack), int))
    places = [(row, hop * k) for row in chosen for k in range(counts[row])]
    for first in range(0, len(places), batch_size):
        clips, starts = zip(*places[first : first + batch_size], strict=True)
        yield cut(pack, clips, starts, n), torch.tensor(clips)
