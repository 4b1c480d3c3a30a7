"""Settings -> the objects that they describe."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import asdict
from inspect import signature
from pathlib import Path
from typing import Any, cast

import torch
from hydra.errors import HydraException
from hydra.utils import instantiate
from lightning.fabric import Fabric
from lightning.fabric.utilities.exceptions import MisconfigurationException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor
from yaml import YAMLError  # type: ignore[import-untyped]

from audioinv.augment import AudiomentationsAugmentation, build_bank
from audioinv.conf.schema import BankConfig, Config
from audioinv.core.backbone import OTHERS, TRUSTED_MODULES, load_trunk
from audioinv.core.bank import AugmentationBank
from audioinv.core.encoder import AmortisedEncoder
from audioinv.core.errors import UserError
from audioinv.core.files import read_json
from audioinv.core.randomness import seeded
from audioinv.data.dataset import RandomCrops, check_rate, fixed_clips, training_rows
from audioinv.data.pack import Pack, open_pack
from audioinv.frontend import Frontend, build_frontend

log = logging.getLogger(__name__)


def need(value: str | None, key: str, example: str) -> Path:
    """The path that a key must give.

    Raises:
        UserError: it was not given.
    """
    if not value:
        raise UserError(f"give {key}=PATH, for example {key}={example}")
    return Path(value)


def run_of(config: Config) -> Path:
    """The run folder that `run=` names."""
    return need(config.run, "run", "exp/demo/amortised_s0")


def pack_of(config: Config) -> Pack:
    """The pack that `pack=` names."""
    return open_pack(need(config.pack, "pack", "packs/fsdd"))


def bank_of(config: BankConfig, sample_rate: int) -> AugmentationBank:
    """The audio bank at a sample rate, with any audiomentations transforms at its end."""
    extra = [
        AudiomentationsAugmentation(transform_of(entry), sample_rate)
        for entry in config.audiomentations
    ]
    return build_bank(
        sample_rate,
        names=config.names,
        groups=config.groups,
        min_active=config.min_active,
        inactive=config.inactive,
        probability=config.probability,
        ranges=config.ranges,
        extra=extra,
    )


def transform_of(entry: dict[str, Any]) -> Any:
    """The audiomentations transform that a Hydra entry describes.

    Raises:
        UserError: a target that is no audiomentations transform (a saved run's settings must not
            run other code), or arguments that it refuses.
    """
    for target in _targets(entry) or [""]:
        if not re.fullmatch(r"audiomentations\.[A-Z]\w*", target):
            raise UserError(
                f"bank.audiomentations takes _target_: audiomentations.X, got '{target}'"
            )
    try:
        return instantiate(entry)
    except HydraException as error:
        raise UserError(f"bank.audiomentations: {error}") from error


def _targets(value: Any) -> list[str]:
    """Every `_target_` in a nested entry."""
    if isinstance(value, dict):
        own = [str(value["_target_"])] if "_target_" in value else []
        return own + [target for part in value.values() for target in _targets(part)]
    return [t for part in value for t in _targets(part)] if isinstance(value, list) else []


def frontend_of(config: Config) -> Frontend:
    """The front end, with the statistics of `statistics=` if that is given."""
    frontend = build_frontend(asdict(config.frontend))
    if config.statistics:
        values = read_json(config.statistics)
        try:
            frontend.set_statistics(values["mean"], values["std"])
        except (KeyError, TypeError) as error:
            raise UserError(
                f"{config.statistics} holds no mean and std; run audioinv statistics"
            ) from error
    return frontend


def encoder_of(config: Config, bank: AugmentationBank) -> AmortisedEncoder:
    """A new encoder, its weights drawn by the seed."""
    TRUSTED_MODULES.update(config.trusted_modules)
    backbone: dict[str, Any] = asdict(config.backbone)
    parts: list[AmortisedEncoder] = []
    if config.backbone.name == "concat":
        parts = sibling_encoders(config)
        backbone = {"name": "concat", "parts": [part.config["backbone"] for part in parts]}
    elif config.backbone.name in OTHERS:
        accepted = signature(OTHERS[config.backbone.name]).parameters
        own = {k: v for k, v in config.backbone.options.items() if k in accepted}
        backbone = {"name": config.backbone.name, **own}
    with seeded(config.seed, "encoder"):
        encoder = AmortisedEncoder(
            frontend_of(config), backbone, asdict(config.conditioning), bank.space
        )
    for network, part in zip(getattr(encoder.backbone, "parts", []), parts, strict=True):
        network.load_state_dict(part.backbone.state_dict())
    if config.init_weights:
        log.info(
            "%d tensors from %s",
            load_trunk(encoder.backbone, config.init_weights),
            config.init_weights,
        )
    return encoder


def sibling_encoders(config: Config) -> list[AmortisedEncoder]:
    """The finished runs METHOD_sSEED beside this run, of the methods in `backbone.options.parts`.

    Raises:
        UserError: one is not finished, or is conditioned: a descriptor would have to be chosen.
    """
    run = run_of(config)
    found = []
    for method in config.backbone.options.get("parts", []):
        folder = run.with_name(f"{method}_s{config.seed}") / "encoder"
        if not (folder / "encoder.json").exists():
            raise UserError(
                f"{run} joins encoders and {folder} is not there; pre-train {method} first"
            )
        encoder = AmortisedEncoder.load(folder, build_frontend)
        if encoder.is_conditioned:
            raise UserError(f"{folder} is conditioned; only plain encoders can be joined")
        found.append(encoder)
    if not found:
        raise UserError("backbone concat needs backbone.options.parts, a list of methods")
    return found


def load_run(config: Config) -> tuple[AmortisedEncoder, AugmentationBank, Pack]:
    """A finished run's encoder and bank, and the pack to use them on."""
    run = run_of(config)
    if not (run / "encoder" / "encoder.json").exists():
        raise UserError(f"{run} holds no encoder; run audioinv pretrain run={run} first")
    TRUSTED_MODULES.update(config.trusted_modules)
    encoder = AmortisedEncoder.load(run / "encoder", build_frontend)
    pack = pack_of(config)
    check_rate(pack, encoder.frontend.config["sample_rate"])
    return encoder, bank_of(saved_config(run).bank, pack.sample_rate), pack


def results_of(config: Config) -> Path:
    """The folder that tasks and results go to."""
    return Path(config.out) if config.out else run_of(config)


def encoder_clips(encoder: AmortisedEncoder, pack: Pack, rows: Sequence[int]) -> Tensor:
    """Clips (n, n_samples) as the encoder's front end wants them."""
    return fixed_clips(pack, rows, encoder.frontend.n_samples, encoder.frontend.repeats)


def random_crops(encoder: AmortisedEncoder, pack: Pack) -> RandomCrops:
    """The training clips of a pack as the encoder's front end wants them."""
    frontend = encoder.frontend
    return RandomCrops(pack, training_rows(pack), frontend.n_samples, frontend.repeats)


def saved_config(run: Path) -> Config:
    """The settings that a run was pre-trained with.

    Raises:
        UserError: config.yaml is missing, damaged or of another version.
    """
    path = run / "config.yaml"
    try:
        saved = OmegaConf.merge(OmegaConf.structured(Config), OmegaConf.load(path))
        return cast(Config, OmegaConf.to_object(saved))
    except (OSError, OmegaConfBaseException, YAMLError) as error:
        raise UserError(f"cannot read {path}: {error}") from error


def is_amortised(config: Config) -> bool:
    """Whether the run's encoder knows more corners than one."""
    saved = saved_config(run_of(config))
    return saved.conditioning.name != "none" and saved.pretrain.corners == "space"


def modes_of(config: Config) -> list[str]:
    """The modes to adapt with: those asked for, or all-on where the run knows no other corner."""
    return config.adapt.modes if is_amortised(config) else ["fixed:all"]


def fabric_of(config: Config) -> Fabric:
    """Lightning Fabric for the configured device and precision."""
    torch.set_float32_matmul_precision("high")
    try:
        fabric = Fabric(
            accelerator=config.accelerator,
            devices=config.devices,
            precision=config.precision,  # type: ignore[arg-type]  # Fabric checks it
        )
    except (ValueError, RuntimeError, MisconfigurationException) as error:
        raise UserError(
            f"accelerator={config.accelerator} devices={config.devices} "
            f"precision={config.precision}: {error}"
        ) from error
    fabric.launch()
    return fabric
