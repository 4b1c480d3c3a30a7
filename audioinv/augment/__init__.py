"""The audio bank: seven waveform augmentations, and an adapter for audiomentations transforms."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from audioinv.augment.adapter import AudiomentationsAugmentation
from audioinv.augment.coloured_noise import ColouredNoise
from audioinv.augment.fade import Fade
from audioinv.augment.pitch_shift import PitchShift
from audioinv.augment.time_mask import TimeMask
from audioinv.augment.time_shift import TimeShift
from audioinv.augment.time_stretch import TimeStretch
from audioinv.augment.white_noise import WhiteNoise
from audioinv.core.bank import Augmentation, AugmentationBank
from audioinv.core.descriptor import DescriptorSpace
from audioinv.core.errors import UserError

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

GROUPS: dict[str, tuple[str, ...]] = {
    "frequency": ("pitch_shift", "white_noise", "coloured_noise"),
    "time": ("time_stretch", "time_shift", "fade", "time_mask"),
}

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
    ranges: Mapping[str, Mapping[str, float]] | None = None,
    extra: Sequence[Augmentation] = (),
) -> AugmentationBank:
    """The bank of the audio augmentations and the descriptor space over them.

    Args:
        sample_rate: in Hz.
        names: which of `AUGMENTATIONS`; by default those in `groups`, or all. Whatever order they
            are given in, they run in the order of `AUGMENTATIONS`.
        groups: component -> names of the augmentations it switches, for example `GROUPS`; by
            default every augmentation is a component of its own.
        min_active: the fewest components that are 1 in a corner drawn for pre-training.
        inactive, probability: see `AugmentationBank`.
        ranges: name -> arguments of its constructor, as {"pitch_shift": {"max_semitones": 5}}.
        extra: further augmentations, already built, that run last.

    Raises:
        UserError: an unknown name or option, or groups that do not cover the names.
    """
    ranges = ranges or {}
    extra_names = [augmentation.name for augmentation in extra]
    chosen = _choose(names, groups, extra_names)
    _check_known(ranges, chosen, "ranges")
    built = [_build(name, sample_rate, ranges.get(name, {})) for name in chosen] + list(extra)
    if groups is None:
        space = DescriptorSpace.single([a.name for a in built], min_active)
    else:
        space = DescriptorSpace({k: tuple(v) for k, v in groups.items()}, min_active)
    return AugmentationBank(built, space, inactive, probability)


def _choose(
    names: Sequence[str] | None,
    groups: Mapping[str, Sequence[str]] | None,
    extra: Sequence[str],
) -> list[str]:
    """The names to build, in the bank's order."""
    if groups is not None:
        members = [name for group in groups.values() for name in group]
        _check_known(members, [*AUGMENTATIONS, *extra], "groups")
        names = names or [name for name in members if name not in extra]
    names = list(AUGMENTATIONS) if names is None else names
    _check_known(names, list(AUGMENTATIONS), "names")
    return [name for name in AUGMENTATIONS if name in names]


def _check_known(
    names: Sequence[str] | Mapping[str, Any], known: Sequence[str], where: str
) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UserError(f"unknown augmentation {', '.join(unknown)} in {where}; give {list(known)}")


def _build(name: str, sample_rate: int, options: Mapping[str, float]) -> Augmentation:
    kind = AUGMENTATIONS[name]
    allowed = set(inspect.signature(kind).parameters)
    fixed = {"sample_rate": sample_rate} if "sample_rate" in allowed else {}
    unknown = sorted(set(options) - (allowed - {"sample_rate"}))
    if unknown:
        raise UserError(
            f"unknown option {', '.join(unknown)} of {name}; "
            f"give {', '.join(sorted(allowed - {'sample_rate'}))}"
        )
    return kind(**fixed, **options)
