"""The banks of the house, with clips to try them on and what is known of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, nan
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audioinv.core.augmentation import Augmentation
from audioinv.core.bank import AugmentationBank

Size = tuple[int, ...]
DOUBLE = torch.float64


@dataclass(frozen=True)
class Bank:
    """A bank under test.

    Args:
        build: of the modality; takes `ranges`.
        clips: (n, size, seed) -> clips (n, ...). sizes: of whole clips, and of the shortest.
        smooth: clips (2, ...) of double precision, away from kinks. hard: such as may divide by 0.
        rows: augmentation -> parameters inside their range, away from kinks, of all that have
            gradients. steep: those whose identity has a gradient that is not 0.
        others: to be tried with finite differences in place of the bank's own.
        always: augmentations that must be told to act.
        nonsense: augmentation and options that no range can be made of.
        kept, moved, alone: how exactly an identity keeps a clip, how much a draw changes one at
            least, and how exactly an example is what it is without its batch.
        errors: type -> the largest error of that precision. slack: of finite differences.
    """

    build: Callable[..., AugmentationBank]
    clips: Callable[[int, Size, int], Tensor]
    sizes: Sequence[Size]
    shortest: Sequence[Size]
    smooth: Callable[[], Tensor]
    hard: Callable[[], Tensor]
    rows: Mapping[str, list[float]]
    steep: Sequence[str]
    nonsense: Sequence[tuple[str, dict[str, float]]]
    others: Mapping[str, Augmentation] = field(default_factory=dict)
    always: Sequence[str] = ()
    kept: float = 0.0
    moved: float = 1e-4
    alone: float = 1e-12
    errors: tuple[float, float, float] = (1e-3, 5e-3, 1e-4)
    slack: float = 1e-7


def noise(n: int, size: Size, seed: int = 0) -> Tensor:
    return torch.randn(n, *size, generator=torch.Generator().manual_seed(seed))


def audio() -> Bank:
    from audioinv.audio.augment import TimeShift, build_bank
    from tests.audio.augment.conftest import harmonic

    def smooth() -> Tensor:
        return (harmonic(217.0, 8000, 2500, DOUBLE) + 0.05 * noise(1, (2500,))).repeat(2, 1)

    def hard() -> Tensor:
        """Silence, a whisper, and sound with digital silence around it."""
        x = torch.zeros(3, 3000)
        x[1] = 1e-6 * noise(1, (3000,))
        x[2, 1000:2000] = noise(1, (1000,))
        return x

    return Bank(
        lambda **options: build_bank(8000, **options),
        noise,
        sizes=[(2000,), (3001,)],
        shortest=[(1,), (2,), (100,), (997,)],
        smooth=smooth,
        hard=hard,
        rows={
            "pitch_shift": [4.3],
            "time_stretch": [0.83],
            "time_shift": [0.1235],
            "fade": [0.3103, 0.2201, 2.0],
            "time_mask": [0.3, 0.1, 1.0, 5.0],
            "white_noise": [12.0, 7.0],
            "coloured_noise": [12.0, 0.7, 7.0],
        },
        others={"time_shift": TimeShift(fractional=True)},
        steep=["pitch_shift", "time_stretch", "time_shift", "time_mask"],
        nonsense=[
            ("pitch_shift", {"min_semitones": 3, "max_semitones": -3}),
            ("pitch_shift", {"max_semitones": nan}),
            ("time_stretch", {"min_rate": 0.0}),
            ("time_shift", {"max_shift": 1.5}),
            ("fade", {"max_fraction": -0.1}),
            ("time_mask", {"max_fraction": 2.0}),
            ("white_noise", {"min_snr_db": 31.0}),
            ("coloured_noise", {"max_decay": inf}),
        ],
        kept=1e-6,
        moved=1e-3,
        alone=1e-9,
        errors=(0.01, 0.05, 0.01),
        slack=1e-5,
    )


def image() -> Bank:
    from tests.vision.augment.conftest import make
    from vision.augment import build_bank

    def clips(n: int, size: Size, seed: int = 0) -> Tensor:
        return make(n, *size, seed)

    def smooth() -> Tensor:
        """No two channels are equal."""
        x = 0.3 + 0.3 * make(2, 14, 17, dtype=DOUBLE)
        return x + 0.01 * make(2, 14, 17, seed=3)

    def hard() -> Tensor:
        x = make(4, 12, 12)
        x[0], x[1], x[2] = 0.0, 1.0, 0.4
        return x

    rows = {
        "crop": [0.4, 0.11, 0.47, 0.56],
        "rotation": [13.7],
        "colour_jitter": [1.13, 0.84, 1.07, 0.063],
        "hue": [0.137],
        "grayscale": [0.43],
        "blur": [1.3],
    }
    return Bank(
        build_bank,
        clips,
        sizes=[(32, 32), (21, 34)],
        shortest=[(1, 1), (1, 5), (3, 2)],
        smooth=smooth,
        hard=hard,
        rows=rows,
        steep=[name for name in rows if name != "blur"],  # a width of 0 is flat in its width
        always=["horizontal_flip"],
        nonsense=[
            ("crop", {"min_scale": 0.0}),
            ("crop", {"min_scale": 0.9, "max_scale": 0.5}),
            ("crop", {"max_ratio": 0.75}),
            ("rotation", {"max_degrees": nan}),
            ("colour_jitter", {"contrast": 1.5}),
            ("colour_jitter", {"hue": 0.6}),
            ("hue", {"min_turns": -0.7}),
            ("grayscale", {"max_amount": 2.0}),
            ("blur", {"min_sigma": 3.0}),
            ("solarise", {"max_threshold": 128.0}),
            ("cutout", {"min_size": -0.1}),
        ],
    )


def series() -> Bank:
    from tests.modality_series.modality import SERIES

    def clips(n: int, size: Size, seed: int = 0) -> Tensor:
        return noise(n, (4, *size), seed)

    return Bank(
        SERIES.bank,
        clips,
        sizes=[(128,), (101,)],
        shortest=[(1,), (2,), (9,)],
        smooth=lambda: clips(2, (40,)).double(),
        hard=lambda: torch.zeros(3, 4, 40) + 1e-6,
        rows={"delay": [0.1234], "scale": [3.0], "channel_dropout": [0.4, 2.5]},
        steep=["delay", "scale", "channel_dropout"],
        nonsense=[("scale", {"max_db": -1.0}), ("channel_dropout", {"max_amount": 1.5})],
        errors=(0.01, 0.05, 1e-4),
    )


KINDS: dict[str, tuple[str, Any]] = {
    "audio": ("audioinv.audio", audio),
    "image": ("vision", image),
    "series": ("tests.modality_series", series),
}


def there(package: str) -> bool:
    """Whether this part of the house was not left out."""
    return Path(__file__).parents[2].joinpath(*package.split(".")).is_dir()


BANKS: dict[str, Bank] = {name: make() for name, (package, make) in KINDS.items() if there(package)}
