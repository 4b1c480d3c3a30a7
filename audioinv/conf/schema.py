"""What every run has; a modality derives its own schema from `Config`, with keys of its own.

The docstrings say what each key means, and `audioinv pretrain --help` prints that beside the keys.
Nothing here imports torch, for which no help should wait.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from audioinv.tasks.settings.adapt import AdaptConfig
from audioinv.tasks.settings.features import FeatureConfig
from audioinv.tasks.settings.fewshot import FewShotConfig, PublishedFewShotConfig
from audioinv.tasks.settings.finetune import FinetuneConfig
from audioinv.tasks.settings.protocols import (
    AveragingConfig,
    FactorsConfig,
    KnnConfig,
    MeasureConfig,
    RobustnessConfig,
)
from audioinv.training.config import LogConfig, MonitorConfig, PretrainConfig

OF_THE_RUN = (
    *("frontend", "bank", "backbone", "conditioning", "pretrain", "monitor", "log"),
    *("init_weights", "trained", "method_pretrain"),
)
"""Keys, and groups of them, that pre-training alone reads; later commands read them of the run."""


@dataclass
class FrontendConfig:
    """Clips to maps; a modality adds its own keys, its size among them.

    Args:
        name: one of the modality's front ends; the group frontend sets it.
    """

    name: str = "???"


@dataclass
class BankConfig:
    """The augmentations and the components of the descriptor; see `core.augmenting.build_bank`.

    Args:
        names: of the augmentations; null takes those in groups, or all.
        groups: component -> names of the augmentations it switches; null makes each its own.
        min_active: the fewest components that are 1 in a corner drawn for pre-training.
        inactive: what a component at 0 does: identity, or shared for alike on both views.
        probability: that an augmentation whose component is 1 acts on a clip.
        acting: independent draws that for each view; shared_uniform draws a set that both views of
            a clip share, of any size alike (MT-SLVR).
        order: bank runs them in the order of the bank; random in one drawn for each clip.
        probabilities: corner, or every -> name -> that probability.
        ranges: name -> its own parameters, as bank.ranges.pitch_shift.max_semitones=6.
    """

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
class BackboneConfig:
    """The stock network; see `audioinv.core.backbone.Backbone`.

    Args:
        name: a timm model, or statistics, concat or hear.
        width: multiplies the channels of a ResNet's stages.
        stem: of a ResNet: stock, no_pool, or cifar for small images.
        pool: of its maps: global, time, both, or token of a ViT.
        dim: features of the linear layer after the pooling; 0 leaves it out.
        options: more of the timm model's or other network's own, as backbone.options.num_heads=12.
    """

    name: str = "resnet18"
    width: float = 1.0
    stem: str = "stock"
    pool: str = "time"
    dim: int = 256
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class ConditioningConfig:
    """How a descriptor changes its weights; see `audioinv.core.conditioning`.

    Args:
        name: hyper, norm, prompt or none; the group conditioning sets it.
        bases: of hyper: how many a weight has.
        embedding: of hyper: size of the descriptor's embedding, one a block.
        rank: of hyper: 0 for full bases, or that of light ones.
        scale: of hyper, norm and prompt: size of the modulation at the start; that of start=paper
            is its own, whatever this is.
        signed: of hyper and prompt: embed 2 i - 1 instead of i.
        gain: of hyper with a rank above 0: how much faster its bases are moved.
        hidden: of norm: units of its MLP.
        mlps: of prompt: how many are averaged.
        start: of hyper and prompt: scaled, or paper for that of the released code.
        stem: of hyper: modulate the first layer too; false, as in the paper, shares it.
    """

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
    stem: bool = False  # as in runs of before this key; hyper and hyper_light say true


@dataclass
class Config:
    """The whole configuration of a run, where a modality does not say more.

    Args:
        modality: what clips are made of; `audioinv modalities` lists them. Says what groups offer.
        run: folder of a run. pack: packed clips.
        statistics: JSON of `audioinv statistics`; null lets pretrain compute them from its training
            clips, none lets maps enter the network as they are.
        shards: WebDataset shards to pre-train on instead, as DIR/part-{000000..000099}.tar.
        on_error: at a clip of the shards that cannot be decoded: fail, or skip for the next.
        out: folder of a run's results; null means the run folder itself. Give one to judge the same
            encoder on several packs.
        protocol: of `audioinv evaluate`: linear, knn, fewshot, fewshot_published, factors,
            finetune, averaging or robustness.
        score_on: test, or valid to tune settings by hand without looking at test clips; give such
            results an `out` of their own.
        seed: of every draw.
        method: the group method sets it; NAME:CORNER trains that corner alone.
        label: name of the run's rows in tables; null means that of its method.
        init_weights: a timm state dict for the trunk (safetensors, or .pt read without pickle).
        trusted_modules: names that a HEAR backbone may import.
        trained: false writes the encoder as it was initialised.
        method_pretrain: method -> the pretrain keys in which it differs, such as its own rate.
        tasks: names of the pack's tasks; null means all.
        accelerator, devices, precision: as in Lightning Fabric.
        nodes: machines, with `devices` of each.
        timeout_s: how long one process waits for another before it gives up.
        deterministic: only algorithms that give the same bits again, or an error.
        allow_changes: resume a run with other settings than it was begun with; a finished one
            trains on to more pretrain.steps, from its last checkpoint.
    """

    modality: str = "???"
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
    label: str | None = None
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
    bank: BankConfig = field(default_factory=BankConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    conditioning: ConditioningConfig = field(default_factory=ConditioningConfig)
    pretrain: PretrainConfig = field(default_factory=PretrainConfig)
    monitor: MonitorConfig = field(default_factory=MonitorConfig)
    log: LogConfig = field(default_factory=LogConfig)
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
