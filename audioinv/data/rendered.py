"""Modalities whose clips are factors of variation, which a front end renders.

Such a clip has no file: the manifest's row is the clip. Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from audioinv.data.media import Media, Samples
from audioinv.data.modality import Modality
from audioinv.data.rules import number_rule

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from audioinv.core.augmentation import Augmentation
    from audioinv.core.bank import AugmentationBank
    from audioinv.data.factors import Factor, TrainingVectors
    from audioinv.data.pack import Pack


@dataclass(frozen=True)
class Vectors:
    """Factors, from which a front end renders clips of the pack's size."""

    size: int
    unit: str
    names: tuple[str, ...]
    dtype: Any = np.float32

    def n_bytes(self, frame: pd.DataFrame) -> NDArray[Any]:
        """Four for each factor."""
        return np.full(len(frame), 4.0 * len(self.names))

    def read(self, path: Path, row: Mapping[str, Any]) -> Samples:
        """The factors of a row, (F,) float32; no file is opened."""
        return np.array([row[name] for name in self.names], np.float32)


class Rendered(Modality):
    """A modality of factors.

    Attributes:
        factors_in: "package.module:NAME" of the mapping of factors, in the order of a clip's
            values. Their names stand in `columns`, too, which come without torch.
    """

    factors_in: str

    def __init__(self) -> None:
        self.rules = tuple(number_rule(name, "give a finite number") for name in self.columns)

    @property
    def factors(self) -> Mapping[str, Factor]:
        """Name -> factor, in the order of a clip's values."""
        found: Mapping[str, Factor] = resolve_name(self.factors_in)
        return found

    def media(self, size: int, **options: str) -> Media:
        """Factors as they stand in the manifest."""
        return Vectors(size, self.size, self.columns)

    def examine(self, path: Path, *numbers: float) -> tuple[str, None]:
        """A hash of the factors, by which a clip that stands in two splits is found."""
        return hashlib.sha256(" ".join(map(repr, numbers)).encode()).hexdigest(), None

    def bank(self, size: int = 0, **options: Any) -> AugmentationBank:
        """Redraws the factors that `options` name; see `core.augmenting.build_bank`."""
        from audioinv.data.factors import build_bank

        return build_bank(self.factors, options)

    def task_augmentation(self, name: str, size: int) -> Augmentation:
        """The augmentation that redraws the factor `name` over its own range."""
        from audioinv.data.factors import task_augmentation

        return task_augmentation(self.factors, name)

    def crops(self, frontend: Any, pack: Pack, rows: Sequence[int]) -> TrainingVectors:
        """Factors: there is nothing to crop."""
        from audioinv.data.factors import TrainingVectors

        return TrainingVectors(pack, rows)

    def clips(self, frontend: Any, pack: Pack, rows: Sequence[int]) -> Tensor:
        """Factors (n, F)."""
        from audioinv.data.factors import vectors

        return vectors(pack, rows)

    def windows(
        self,
        frontend: Any,
        pack: Pack,
        hop_s: float,
        repeat: bool = True,
        rows: Sequence[int] | None = None,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Every clip once, in batches, and the row of each: it has one window."""
        from audioinv.data.factors import batches

        return batches(pack, rows)
