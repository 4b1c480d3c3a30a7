"""The audio bank: seven waveform augmentations, and an adapter for audiomentations transforms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from audioinv.audio.augment.adapter import AudiomentationsAugmentation, transform_of
from audioinv.audio.augment.coloured_noise import ColouredNoise
from audioinv.audio.augment.fade import Fade
from audioinv.audio.augment.pitch_shift import PitchShift
from audioinv.audio.augment.time_mask import TimeMask
from audioinv.audio.augment.time_shift import TimeShift
from audioinv.audio.augment.time_stretch import TimeStretch
from audioinv.audio.augment.white_noise import WhiteNoise
from audioinv.core import augmenting
from audioinv.core.augmentation import Augmentation
from audioinv.core.bank import AugmentationBank

# in the order in which they are applied
AUGMENTATIONS: dict[str, type[Augmentation]] = {
    augmentation.name: augmentation
    for augmentation in (
        PitchShift,
        TimeStretch,
        TimeShift,
        Fade,
        TimeMask,
        WhiteNoise,
        ColouredNoise,
    )
}
"""Augmentations by name, in the order of their components."""

GROUPS: dict[str, tuple[str, ...]] = {
    "frequency": ("pitch_shift", "white_noise", "coloured_noise"),
    "time": ("time_stretch", "time_shift", "fade", "time_mask"),
}
"""What a component of `bank.groups` acts on, by name."""

__all__ = [
    "AUGMENTATIONS",
    "GROUPS",
    "AudiomentationsAugmentation",
    "ColouredNoise",
    "Fade",
    "PitchShift",
    "TimeMask",
    "TimeShift",
    "TimeStretch",
    "WhiteNoise",
    "build_bank",
]


def build_bank(
    sample_rate: int,
    names: Sequence[str] | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    min_active: int = 1,
    inactive: str = "identity",
    probability: float = 1.0,
    probabilities: Mapping[str, Mapping[str, float]] | None = None,
    ranges: Mapping[str, Mapping[str, float]] | None = None,
    acting: str = "independent",
    order: str = "bank",
    audiomentations: Sequence[Any] = (),
    extra: Sequence[Augmentation] = (),
) -> AugmentationBank:
    """The bank of the audio augmentations and the descriptor space over them.

    Args:
        sample_rate: in Hz.
        names: which of `AUGMENTATIONS`.
        groups: component -> names of the augmentations it switches, for example `GROUPS`.
        ranges: name -> arguments of its constructor, as {"pitch_shift": {"max_semitones": 5}}.
        audiomentations: transforms of that library, or their settings, {"_target_":
            "audiomentations.X", ...}: they run after ours.
        The others: see `audioinv.core.augmenting.build_bank`.

    Raises:
        UserError: an unknown name or option, or groups that do not cover the names.
    """
    transforms = [transform_of(t) if isinstance(t, dict) else t for t in audiomentations]
    adapted = [AudiomentationsAugmentation(t, sample_rate) for t in transforms]
    return augmenting.build_bank(
        AUGMENTATIONS,
        names=names,
        groups=groups,
        min_active=min_active,
        inactive=inactive,
        probability=probability,
        probabilities=probabilities,
        ranges=ranges,
        acting=acting,
        order=order,
        extra=[*adapted, *extra],
        common={"sample_rate": sample_rate},
    )
