"""What differs in the settings of images: front end and bank. The rest is audioinv.conf.schema."""

from __future__ import annotations

from dataclasses import dataclass, field

from audioinv.conf import schema


@dataclass
class FrontendConfig:
    """Pixels to maps; see `vision.frontend.Pixels`."""

    name: str = "pixels"
    image_size: int = 32


@dataclass
class BankConfig:
    """The augmentations and the components of the descriptor; see `vision.augment.build_bank`."""

    names: list[str] | None = None
    groups: dict[str, list[str]] | None = None
    min_active: int = 1
    inactive: str = "identity"
    probability: float = 1.0
    probabilities: dict[str, dict[str, float]] = field(default_factory=dict)
    ranges: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass
class Config(schema.Config):
    """The whole configuration of a run on images."""

    modality: str = "image"
    frontend: FrontendConfig = field(default_factory=FrontendConfig)  # type: ignore[assignment]
    bank: BankConfig = field(default_factory=BankConfig)  # type: ignore[assignment]
