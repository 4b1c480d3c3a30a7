"""Settings -> the objects that they describe."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from inspect import signature
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import nn
from yaml import YAMLError  # type: ignore[import-untyped]

from audioinv.base.errors import UserError
from audioinv.base.files import read_json
from audioinv.base.randomness import seeded
from audioinv.conf.schema import Config
from audioinv.core.backbone import OTHERS, TRUSTED_MODULES
from audioinv.core.bank import AugmentationBank
from audioinv.core.encoder import AmortisedEncoder
from audioinv.core.init_weights import load_trunk
from audioinv.data.modality import build_frontend, modality_of, registered
from audioinv.data.pack import Pack, open_pack
from audioinv.data.shards import open_shards
from audioinv.tasks import modes

GONE = (
    *("fewshot_published.readouts", "fewshot_published.inverse_l2"),
    *("features.calibration_clips", "measure.calibration_clips"),
)
"""Keys that config.yaml of older runs may have, and nothing read."""
RAW = "none"
"""Of `statistics=`: maps enter the network as they are."""
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
    """The pack that `pack=` names.

    Raises:
        UserError: there is none, or it is of another modality.
    """
    pack = open_pack(need(config.pack, "pack", "packs/fsdd"))
    if pack.corpus.modality != config.modality:
        raise UserError(
            f"{config.pack} is of modality {pack.corpus.modality}, not {config.modality}; "
            f"give modality={pack.corpus.modality}"
        )
    return pack


def source_of(config: Config) -> Pack:
    """What to pre-train on: the pack that `pack=` names, or the shards that `shards=` does.

    Raises:
        UserError: neither or both are given, or `open_pack` and `open_shards` say why.
    """
    if config.shards is None:
        return pack_of(config)
    if config.pack is not None:
        raise UserError(f"pack={config.pack} and shards={config.shards} are given; give one")
    modality = modality_of(config.modality)
    media = modality.media(getattr(config.frontend, modality.size))
    return open_shards(config.shards, media, config.modality, config.on_error)


def frontend_of(config: Config) -> nn.Module:
    """The front end, with the statistics of `statistics=` if that is given."""
    frontend: Any = build_frontend({"modality": config.modality, **asdict(config.frontend)})
    if values := statistics_of(config):
        try:
            frontend.set_statistics(**values)
        except TypeError as error:
            raise _no_statistics(config) from error
    return frontend


def statistics_of(config: Config) -> dict[str, Any]:
    """The mean and std in the file that `statistics=` names; nothing where that is null or none.

    Raises:
        UserError: the file has no such values.
    """
    if config.statistics in (None, "", RAW):
        return {}
    values = read_json(config.statistics)
    try:
        return {name: values[name] for name in ("mean", "std")}
    except (KeyError, TypeError) as error:
        raise _no_statistics(config) from error


def _no_statistics(config: Config) -> UserError:
    return UserError(f"{config.statistics} holds no mean and std; run audioinv statistics")


def encoder_of(config: Config, bank: AugmentationBank) -> AmortisedEncoder:
    """A new encoder, its weights drawn by the seed.

    Raises:
        UserError: settings that no encoder can be made of.
    """
    if config.method == "timm" and config.init_weights is None:
        raise UserError("method=timm judges given weights; give init_weights=FILE")
    TRUSTED_MODULES.update(config.trusted_modules)
    with seeded(config.seed, "frontend"):
        frontend = frontend_of(config)  # first: its module may bring networks of its modality
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
        encoder = AmortisedEncoder(frontend, backbone, asdict(config.conditioning), bank.space)
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
    refuse_uncalibrated(encoder, run)
    saved = saved_config(run)
    pack = pack_of(replace(config, modality=saved.modality))
    modality = modality_of(saved.modality)
    modality.check(pack, encoder.frontend)
    return encoder, modality.bank(pack.size, **asdict(saved.bank)), pack


def refuse_uncalibrated(encoder: AmortisedEncoder, run: Path) -> None:
    """Raises a UserError for an encoder that was saved before statistics were kept with it."""
    if not encoder.is_calibrated:
        raise UserError(
            f"{run} was made before encoders kept their normalisation statistics; make them once, "
            f"from clips like those of its training: audioinv calibrate {run} --pack PACK"
        )


def results_of(config: Config) -> Path:
    """The folder that tasks and results go to."""
    return Path(config.out) if config.out else run_of(config)


def saved_config(run: Path) -> Config:
    """The settings that a run was pre-trained with.

    Raises:
        UserError: config.yaml is missing, damaged or of another version.
    """
    path = run / "config.yaml"
    try:
        loaded = _without(OmegaConf.load(path), GONE)
        schema = registered(str(OmegaConf.select(loaded, "modality", default="audio"))).schema
        saved = OmegaConf.merge(OmegaConf.structured(schema), loaded)
        return cast(Config, OmegaConf.to_object(saved))
    except (OSError, OmegaConfBaseException, YAMLError) as error:
        raise UserError(f"cannot read {path}: {error}") from error


def _without(loaded: Any, keys: Sequence[str]) -> Any:
    """What was loaded, without these keys."""
    for section, _, name in (key.rpartition(".") for key in keys):
        found = OmegaConf.select(loaded, section)
        if isinstance(found, DictConfig):
            found.pop(name, None)
    return loaded


def is_amortised(config: Config) -> bool:
    """Whether the run's encoder knows more corners than one."""
    saved = saved_config(run_of(config))
    return saved.conditioning.name != "none" and saved.pretrain.corners == "space"


def modes_of(config: Config) -> list[str]:
    """The modes to adapt with: those asked for, or all-on where the run knows no other corner.

    Raises:
        UserError: one that there is not.
    """
    wanted = [modes.check(mode) for mode in config.adapt.modes]
    return wanted if is_amortised(config) else ["fixed:all"]
