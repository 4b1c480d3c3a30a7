"""What every Hydra command can be told; a key that is not here is an error.

The comments are the reference: `audioinv pretrain --help` prints them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from audioinv.core.adapt import AdaptConfig
from audioinv.core.features import FeatureConfig
from audioinv.core.fewshot import FewShotConfig, PublishedFewShotConfig
from audioinv.core.finetune import FinetuneConfig
from audioinv.core.pretrain import PretrainConfig


@dataclass
class FrontendConfig:
    """Waveform to log spectrum; see `audioinv.frontend.Frontend`."""

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
    """Factors to log spectrum; see `audioinv.sonograph_clips.Sonograph`."""

    name: str = "sonograph"
    sample_rate: int = 4000
    clip_s: float = 0.6


@dataclass
class BankConfig:
    """The augmentations and the components of the descriptor; see `core.augmenting.build_bank`."""

    names: list[str] | None = None
    groups: dict[str, list[str]] | None = None
    min_active: int = 1
    inactive: str = "identity"
    probability: float = 1.0
    acting: str = "independent"
    order: str = "bank"
    probabilities: dict[str, dict[str, float]] = field(default_factory=dict)
    ranges: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass
class AudioBankConfig(BankConfig):
    """With any audiomentations transforms at its end."""

    audiomentations: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class BackboneConfig:
    """The stock network; see `audioinv.core.backbone.Backbone`."""

    name: str = "resnet18"
    width: float = 1.0
    stem: str = "stock"
    pool: str = "time"
    dim: int = 256
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class ConditioningConfig:
    """How a descriptor changes its weights; see `audioinv.core.conditioning`."""

    name: str = "hyper"
    bases: int = 8
    embedding: int = 16
    rank: int = 0
    scale: float = 1.0
    signed: bool = False
    gain: float = 1.0
    hidden: int = 64
    mlps: int = 1
    start: str = "scaled"


@dataclass
class MeasureConfig:
    """Measured invariance: test clips, and training clips for BatchNorm statistics."""

    n_clips: int = 300
    calibration_clips: int = 512


@dataclass
class KnnConfig:
    """The knn protocol: neighbours, and the temperature of their votes' weights."""

    k: int = 20
    temperature: float = 0.07


@dataclass
class FactorsConfig:
    """The factors protocol: training clips that a probe is fitted on."""

    clips: int = 1500


@dataclass
class AveragingConfig:
    """The averaging protocol: the numbers of encodings M of its curve."""

    draws: list[int] = field(default_factory=lambda: [1, 2, 3, 5, 10, 20, 30])


@dataclass
class RobustnessConfig:
    """The robustness protocol: strengths of the augmentations, and how many test clips at most."""

    strengths: list[float] = field(default_factory=lambda: [0.0, 0.25, 0.5, 0.75, 1.0])
    clips: int = 500


@dataclass
class Config:
    """The whole configuration of a run.

    Args:
        modality: audio or image; says what the groups frontend and bank offer.
        run: run folder. pack: packed clips. shards: WebDataset shards to pre-train on instead, as
            DIR/part-{000000..000099}.tar; on_error: at a clip of theirs that cannot be decoded,
            fail, or skip (the next takes its place). statistics: JSON of `audioinv statistics`.
        method: name shown in tables; set by the method group.
        out: folder of a run's results; null means the run folder itself. Give one to judge the same
            encoder on several packs.
        protocol: of `audioinv evaluate`: linear, knn, fewshot, fewshot_published, factors,
            finetune, averaging or robustness.
        score_on: test, or valid to tune settings by hand without looking at test clips; give such
            results an `out` of their own.
        init_weights: a timm state dict for the trunk (safetensors, or .pt read without pickle).
        trusted_modules: names that a HEAR backbone may import.
        trained: false writes the encoder as it was initialised.
        method_pretrain: method -> the pretrain keys in which it differs, such as its own rate.
        tasks: names of the pack's tasks; null means all.
        accelerator, devices, precision: as in Lightning Fabric. nodes: machines, with `devices` of
            each. timeout_s: how long one process waits for another before it gives up.
        deterministic: only algorithms that give the same bits again, or an error.
        allow_changes: resume a run with other settings than it was begun with.
    """

    modality: str = "audio"
    run: str | None = None
    pack: str | None = None
    shards: str | None = None
    on_error: str = "fail"
    statistics: str | None = None
    out: str | None = None
    protocol: str = "linear"
    score_on: str = "test"
    seed: int = 0
    method: str = "amortised"
    init_weights: str | None = None
    trusted_modules: list[str] = field(default_factory=list)
    trained: bool = True
    method_pretrain: dict[str, dict[str, Any]] = field(default_factory=dict)
    tasks: list[str] | None = None
    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    timeout_s: int = 600
    precision: str = "32-true"
    deterministic: bool = False
    allow_changes: bool = False
    frontend: FrontendConfig = field(default_factory=FrontendConfig)
    bank: AudioBankConfig = field(default_factory=AudioBankConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    conditioning: ConditioningConfig = field(default_factory=ConditioningConfig)
    pretrain: PretrainConfig = field(default_factory=PretrainConfig)
    features: FeatureConfig = field(default_factory=FeatureConfig)
    adapt: AdaptConfig = field(default_factory=AdaptConfig)
    fewshot: FewShotConfig = field(default_factory=FewShotConfig)
    fewshot_published: PublishedFewShotConfig = field(default_factory=PublishedFewShotConfig)
    finetune: FinetuneConfig = field(default_factory=FinetuneConfig)
    knn: KnnConfig = field(default_factory=KnnConfig)
    factors: FactorsConfig = field(default_factory=FactorsConfig)
    averaging: AveragingConfig = field(default_factory=AveragingConfig)
    robustness: RobustnessConfig = field(default_factory=RobustnessConfig)
    measure: MeasureConfig = field(default_factory=MeasureConfig)


@dataclass
class SonographConfig(Config):
    """The whole configuration of a run on sounds that are rendered from their factors."""

    modality: str = "sonograph"
    frontend: SonographFrontendConfig = field(default_factory=SonographFrontendConfig)
    bank: BankConfig = field(default_factory=BankConfig)  # type: ignore[assignment]
