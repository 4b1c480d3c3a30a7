"""The image bank: nine augmentations of images (B, 3, H, W) in [0, 1], built on kornia."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from audioinv.core import augmenting
from audioinv.core.augmentation import Augmentation
from audioinv.core.bank import AugmentationBank
from vision.augment.blur import Blur
from vision.augment.colour_jitter import ColourJitter
from vision.augment.crop import Crop
from vision.augment.cutout import Cutout
from vision.augment.grayscale import Grayscale
from vision.augment.horizontal_flip import HorizontalFlip
from vision.augment.hue import Hue
from vision.augment.rotation import Rotation
from vision.augment.solarise import Solarise

# in the order in which they are applied
AUGMENTATIONS: dict[str, type[Augmentation]] = {
    augmentation.name: augmentation
    for augmentation in (
        Crop,
        Rotation,
        HorizontalFlip,
        ColourJitter,
        Hue,
        Grayscale,
        Blur,
        Solarise,
        Cutout,
    )
}
"""Augmentations by name, in the order of their components."""

# the two components of the paper's MoCo setting
GROUPS: dict[str, tuple[str, ...]] = {
    "spatial": ("crop", "horizontal_flip"),
    "appearance": ("colour_jitter", "grayscale", "blur", "solarise"),
}
"""What a component of `bank.groups` acts on, by name."""

__all__ = [
    "AUGMENTATIONS",
    "GROUPS",
    "Blur",
    "ColourJitter",
    "Crop",
    "Cutout",
    "Grayscale",
    "HorizontalFlip",
    "Hue",
    "Rotation",
    "Solarise",
    "build_bank",
]


def build_bank(
    names: Sequence[str] | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    min_active: int = 1,
    inactive: str = "identity",
    probability: float = 1.0,
    probabilities: Mapping[str, Mapping[str, float]] | None = None,
    ranges: Mapping[str, Mapping[str, float]] | None = None,
    acting: str = "independent",
    order: str = "bank",
) -> AugmentationBank:
    """The bank of the image augmentations and the descriptor space over them.

    Args:
        names: which of `AUGMENTATIONS`.
        groups: component -> names of the augmentations it switches, for example `GROUPS`.
        ranges: name -> arguments of its constructor, as {"blur": {"max_sigma": 1.0}}.
        The others: see `audioinv.core.augmenting.build_bank`.

    Raises:
        UserError: an unknown name or option, or groups that do not cover the names.
    """
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
    )
