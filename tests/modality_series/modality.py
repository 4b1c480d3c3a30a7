"""The modality `series`. Nothing here imports torch before it is called."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import NDArray

from audioinv.base.errors import UserError
from audioinv.data.media import Media
from audioinv.data.modality import Modality
from audioinv.data.rules import number_rule, whole
from tests.modality_series.recordings import CHANNELS, ENDING, Recordings, examine

if TYPE_CHECKING:
    from torch import Tensor

    from audioinv.core.augmentation import Augmentation
    from audioinv.core.bank import AugmentationBank
    from audioinv.data.pack import Pack
    from tests.modality_series.clips import RandomCrops
    from tests.modality_series.frontend import Spectra


class Series(Modality):
    """Recordings in .npy files, (4, n), packed as float32 at one rate."""

    name = "series"
    size = "series_rate"
    size_help = "of a pack of series, in Hz"
    columns = ("rate",)
    rules = (number_rule("rate", "give a whole number of Hz", lambda v: v > 0 and whole(v)),)
    whole = frozenset({"rate"})
    whole_file: ClassVar[Mapping[str, Any]] = {"rate": None}
    frontends: ClassVar[Mapping[str, str]] = {"spectra": "tests.modality_series.frontend:Spectra"}
    conf = "tests.modality_series.conf"
    corpora_in = "tests.modality_series.corpora"

    @property
    def endings(self) -> Collection[str]:
        return {ENDING}

    @property
    def schema(self) -> type[Any]:
        from tests.modality_series.schema import Config

        return Config

    def media(self, size: int, **options: str) -> Media:
        return Recordings(size)

    def examine(self, path: Path, *numbers: float) -> tuple[str, UserError | None]:
        return examine(path)

    def bank(self, series_rate: int = 0, **options: Any) -> AugmentationBank:
        from audioinv.core.augmenting import build_bank
        from tests.modality_series.augment import AUGMENTATIONS

        return build_bank(AUGMENTATIONS, **options)

    def task_augmentation(self, name: str, size: int) -> Augmentation:
        from audioinv.core import augmenting
        from tests.modality_series.augment import AUGMENTATIONS

        return augmenting.default(AUGMENTATIONS, name)

    def crops(self, frontend: Spectra, pack: Pack, rows: Sequence[int]) -> RandomCrops:
        from tests.modality_series.clips import RandomCrops

        return RandomCrops(pack, rows, frontend.n_samples)

    def clips(self, frontend: Spectra, pack: Pack, rows: Sequence[int]) -> Tensor:
        from tests.modality_series.clips import cut

        return cut(pack, rows, [0] * len(rows), frontend.n_samples)

    def windows(
        self,
        frontend: Spectra,
        pack: Pack,
        hop_s: float,
        repeat: bool = True,
        rows: Sequence[int] | None = None,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        from tests.modality_series.clips import windows

        return windows(pack, frontend.n_samples, round(hop_s * pack.size), rows)

    def behind(self, frontend: Spectra, pack: Pack) -> NDArray[Any]:
        lengths: NDArray[Any] = pack.frame["n_samples"].to_numpy()
        return (lengths - CHANNELS * frontend.n_samples).clip(0)

    def write_example(
        self, augmentation: Augmentation, frontend: Spectra, pack: Pack, folder: Path
    ) -> dict[str, Any]:
        """Nothing: a series is not looked at here."""
        return {}


SERIES = Series()
