"""What differs in the settings of images; the rest is `audioinv.conf.schema`."""

from __future__ import annotations

from dataclasses import dataclass, field

from audioinv.conf import schema


@dataclass
class FrontendConfig(schema.FrontendConfig):
    """Pixels to maps; see `vision.frontend.Pixels`.

    Args:
        name: pixels; the group frontend sets it.
        image_size: pixels a side, that of the pack.
    """

    name: str = "pixels"
    image_size: int = 32


@dataclass
class Config(schema.Config):
    """The whole configuration of a run on images."""

    modality: str = "image"
    frontend: FrontendConfig = field(default_factory=FrontendConfig)


@dataclass
class SpirographFrontendConfig(FrontendConfig):
    """Factors to maps; see `vision.spirograph.Spirograph`.

    Args:
        name: spirograph.
        drawing: which generator the images are of: 2, the published one.
    """

    name: str = "spirograph"
    drawing: int = 1  # what runs that do not say were made with; see frontend/spirograph.yaml


@dataclass
class SpirographConfig(Config):
    """The whole configuration of a run on Spirograph images."""

    modality: str = "spirograph"
    frontend: SpirographFrontendConfig = field(default_factory=SpirographFrontendConfig)
