"""Settings -> the objects that they describe."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from lightning.fabric import Fabric
from omegaconf import OmegaConf

from audioinv.augment import AudiomentationsAugmentation, build_bank
from audioinv.conf.schema import BankConfig, Config
from audioinv.core.bank import AugmentationBank
from audioinv.core.encoder import AmortisedEncoder
from audioinv.core.errors import UserError
from audioinv.core.files import read_json
from audioinv.core.randomness import seeded
from audioinv.data.dataset import check_rate
from audioinv.data.pack import Pack, open_pack
from audioinv.frontend import Frontend, build_frontend


def need(value: str | None, key: str, example: str) -> Path:
    """The path that a key must give.

    Raises:
        UserError: it was not given.
    """
    if not value:
        raise UserError(f"give {key}=PATH, for example {key}={example}")
    return Path(value)


def pack_of(config: Config) -> Pack:
    """The pack that `pack=` names."""
    return open_pack(need(config.pack, "pack", "packs/fsdd"))


def bank_of(config: BankConfig, sample_rate: int) -> AugmentationBank:
    """The audio bank at a sample rate, with any audiomentations transforms at its end."""
    extra = []
    for entry in config.audiomentations:
        target = str(entry.get("_target_", ""))
        if not target.startswith("audiomentations."):
            raise UserError(f"bank.audiomentations takes _target_: audiomentations.X, got '{target}'")
        extra.append(AudiomentationsAugmentation(instantiate(entry), sample_rate))
    return build_bank(
        sample_rate,
        names=config.names,
        groups=config.groups,
        min_active=config.min_active,
        inactive=config.inactive,
        ranges=config.ranges,
        extra=extra,
    )


def frontend_of(config: Config) -> Frontend:
    """The front end, with the statistics of `statistics=` if that is given."""
    frontend = build_frontend(asdict(config.frontend))
    if config.statistics:
        frontend.set_statistics(**read_json(config.statistics))
    return frontend


def encoder_of(config: Config, bank: AugmentationBank) -> AmortisedEncoder:
    """A new encoder, its weights drawn by the seed."""
    backbone: dict[str, Any] = asdict(config.backbone)
    if config.backbone.name == "statistics":
        backbone = {"name": "statistics"}
    with seeded(config.seed, "encoder"):
        return AmortisedEncoder(
            frontend_of(config), backbone, asdict(config.conditioning), bank.space
        )


def load_run(config: Config) -> tuple[AmortisedEncoder, AugmentationBank, Pack]:
    """A finished run's encoder and bank, and the pack to use them on."""
    run = need(config.run, "run", "exp/demo/amortised_s0")
    if not (run / "encoder" / "encoder.json").exists():
        raise UserError(f"{run} holds no encoder; run audioinv pretrain run={run} first")
    encoder = AmortisedEncoder.load(run / "encoder", build_frontend)
    pack = pack_of(config)
    check_rate(pack, encoder.frontend.config["sample_rate"])
    saved = OmegaConf.merge(OmegaConf.structured(Config), OmegaConf.load(run / "config.yaml"))
    bank_config = OmegaConf.to_object(saved.bank)
    return encoder, bank_of(bank_config, pack.sample_rate), pack


def fabric_of(config: Config) -> Fabric:
    """Lightning Fabric for the configured device and precision."""
    torch.set_float32_matmul_precision("high")
    fabric = Fabric(
        accelerator=config.accelerator, devices=config.devices, precision=config.precision
    )
    fabric.launch()
    return fabric
