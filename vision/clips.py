"""Images of a pack as batches of float tensors (B, 3, H, W) in [0, 1]."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from audioinv.core.bank import ALL, Rows
from audioinv.data.pack import Pack


def pixels(pack: Pack, rows: Sequence[int]) -> Tensor:
    """The images at `rows`, (n, 3, size, size).

    Raises:
        IndexError: there is no such row.
    """
    size = pack.size
    values = np.empty((len(rows), 3 * size * size), np.uint8)
    for image, row in zip(values, rows, strict=True):
        image[:] = pack.samples(int(row))
    return torch.from_numpy(values).view(-1, 3, size, size).float().div_(255)


class TrainingImages:
    """The images to pre-train on: whole ones, for cropping is the bank's business."""

    def __init__(self, pack: Pack, rows: Sequence[int]) -> None:
        self.pack = pack
        self.rows = np.asarray(rows, np.int64)

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, indices: Tensor, generator: torch.Generator, own: Rows = ALL) -> Tensor:
        """Images (B, 3, size, size) at `indices[own]` of `rows`; nothing is drawn."""
        return pixels(self.pack, self.rows[indices[own].numpy()].tolist())


def batches(
    pack: Pack, rows: Sequence[int] | None = None, batch_size: int = 256
) -> Iterator[tuple[Tensor, Tensor]]:
    """Images in order, all or those of some rows, (b, 3, size, size), and the row of each, (b,)."""
    wanted = list(range(len(pack)) if rows is None else rows)
    for start in range(0, len(wanted), batch_size):
        some = wanted[start : start + batch_size]
        yield pixels(pack, some), torch.tensor(some)
