"""What differs in the settings of series."""

from __future__ import annotations

from dataclasses import dataclass, field

from audioinv.conf import schema


@dataclass
class FrontendConfig:
    """Series to maps.

    Args:
        name: spectra. series_rate: in Hz, that of the pack. window_s: seconds that are seen.
    """

    name: str = "spectra"
    series_rate: int = 64
    window_s: float = 2.0


@dataclass
class Config(schema.Config):
    """The whole configuration of a run on series."""

    modality: str = "series"
    frontend: FrontendConfig = field(default_factory=FrontendConfig)  # type: ignore[assignment]
    bank: schema.BankConfig = field(default_factory=schema.BankConfig)  # type: ignore[assignment]
