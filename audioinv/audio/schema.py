"""What differs in the settings of sounds; the rest is `audioinv.conf.schema`. It needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from audioinv.conf import schema


@dataclass
class FrontendConfig(schema.FrontendConfig):
    """Waveform to log spectrum; see `audioinv.audio.frontend.Frontend`.

    Args:
        name: log_mel, log_mel_stft, log_frequency or waveform; the group frontend sets it.
        sample_rate: in Hz, that of the pack. clip_s: seconds of a training clip.
        n_fft: samples of a spectrum. hop: samples from one spectrum to the next.
        n_bins: filters, which are the rows of a map.
        min_hz, max_hz: edges of the filters; max_hz=0 is half the sample rate.
        floor_db: power below it counts as this much.
        short_clips: what fills up a clip shorter than clip_s: zeros, or repeat for itself again.
        views: what pre-training augments: waveform, or fused for the frames, which is faster.
        channels_last: the memory layout of maps; faster for small networks and in bfloat16.
        mel_scale: of log_mel and log_mel_stft: slaney, or htk. mel_norm: slaney for filters of
            equal area, or none for equal height.
        normalise: none, or clip for waveforms of mean 0 and deviation 1.
    """

    name: str = "log_mel"
    sample_rate: int = 16000
    clip_s: float = 1.0
    n_fft: int = 1024
    hop: int = 512
    n_bins: int = 128
    min_hz: float = 0.0
    max_hz: float = 0.0
    floor_db: float = -100.0
    short_clips: str = "zeros"
    views: str = "waveform"
    channels_last: bool = False
    mel_scale: str = "slaney"
    mel_norm: str = "slaney"
    normalise: str = "none"


@dataclass
class SonographFrontendConfig(FrontendConfig):
    """Factors to log spectrum; see `audioinv.audio.sonograph.Sonograph`.

    Args:
        name: sonograph.
    """

    name: str = "sonograph"
    sample_rate: int = 4000
    clip_s: float = 0.6


@dataclass
class AudioBankConfig(schema.BankConfig):
    """With any audiomentations transforms at its end.

    Args:
        audiomentations: such as [{_target_: audiomentations.Gain}].
    """

    audiomentations: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class AudioConfig(schema.Config):
    """The whole configuration of a run on recorded sounds."""

    modality: str = "audio"
    frontend: FrontendConfig = field(default_factory=FrontendConfig)
    bank: AudioBankConfig = field(default_factory=AudioBankConfig)


@dataclass
class SonographConfig(schema.Config):
    """The whole configuration of a run on sounds that are rendered from their factors."""

    modality: str = "sonograph"
    frontend: SonographFrontendConfig = field(default_factory=SonographFrontendConfig)
