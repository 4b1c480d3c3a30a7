"""Fitting a front end to clips: the mean and deviation that it takes away."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

from torch import Tensor

from audioinv.core.embedding import Sources
from audioinv.data.modality import modality_of
from audioinv.data.pack import Pack
from audioinv.data.rows import sample_rows, some_training_rows
from audioinv.data.shards import Shards
from audioinv.data.sources import sources_of

BATCH = 256
FROM_SHARDS = 10_000  # clips, each of which has to be decoded


class Fitted:
    """A front end with statistics, which `fit_statistics` computes from batches of clips."""

    mean: Tensor
    std: Tensor

    @property
    def is_fitted(self) -> bool:
        """Whether it takes anything away."""
        return bool((self.mean != 0).any() or (self.std != 1).any())

    def fit_statistics(self, batches: Iterable[Tensor]) -> dict[str, Any]:
        """Computes mean and deviation over batches of clips, keeps and returns them."""
        raise NotImplementedError

    def fit(self, clips: Pack | Tensor | Iterable[Tensor]) -> Self:
        """Takes its statistics from clips, and returns itself.

        Args:
            clips: a pack, of which its training clips are taken; clips (n, ...); or batches of
                them (b, ...).

        Raises:
            UserError: a pack of another size than the front end's, or clips that are all alike.
        """
        self.fit_statistics(batches_of(clips, self))
        return self

    def sources(
        self,
        x: Any,
        sample_rate: int | None = None,
        hop_s: float | None = None,
        drop_last: bool = False,
    ) -> Sources:
        """Whatever a user gives as clips, as windows; see `data.sources`."""
        return sources_of(self, x, sample_rate, hop_s, drop_last)


def batches_of(clips: Pack | Tensor | Iterable[Tensor], frontend: Any) -> Iterable[Tensor]:
    """Batches (b, ...) of the training clips of a pack, of a tensor's clips, or as they come."""
    if isinstance(clips, Tensor):
        return clips.split(BATCH)
    if not isinstance(clips, Pack):
        return clips
    modality_of(clips.corpus.modality).check(clips, frontend)
    return batches_at(rows_to_fit(clips), clips, frontend)


def rows_to_fit(pack: Pack) -> list[int]:
    """Its training rows; of shards 10,000 of them at most, in order.

    Raises:
        UserError: there are none.
    """
    rows = some_training_rows(pack)
    if not isinstance(pack, Shards):
        return rows
    return sorted(sample_rows(rows, FROM_SHARDS, 0, "statistics"))


def batches_at(rows: Sequence[int], pack: Pack, frontend: Any) -> Iterator[Tensor]:
    """Batches (b, ...) of the clips at `rows` of a pack."""
    clips = modality_of(pack.corpus.modality).clips
    for first in range(0, len(rows), BATCH):
        yield clips(frontend, pack, rows[first : first + BATCH])
