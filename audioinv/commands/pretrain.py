"""audioinv pretrain: one encoder over all descriptors, from clips without labels."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from audioinv.base.errors import UserError
from audioinv.base.files import read_json, write_json, write_text
from audioinv.base.version import __version__
from audioinv.conf.schema import Config
from audioinv.data.modality import modality_of
from audioinv.runs.build import (
    encoder_of,
    run_of,
    saved_config,
    source_of,
)
from audioinv.training.config import PretrainConfig
from audioinv.training.processes import is_first_process
from audioinv.training.start import pretrain

log = logging.getLogger(__name__)
READ = (
    *("modality", "shards", "on_error", "frontend", "bank", "backbone", "conditioning", "pretrain"),
    *("method", "method_pretrain", "init_weights", "trained", "seed", "precision", "deterministic"),
)
"""Keys, and groups of them, that decide what pre-training computes; a pack may have moved."""
HARMLESS = ("pretrain.keep_checkpoints", "pretrain.read_ahead")
"""Keys among them that do not."""


def main(config: Config) -> None:
    """Pre-trains into `run`, resuming what is there; a finished run is left as it is."""
    run = run_of(config)
    settings = OmegaConf.to_yaml(OmegaConf.structured(config), resolve=True)
    refuse_other_settings(run, settings, config)
    if (run / "encoder" / "encoder.json").exists():
        log.info("%s: already done, encoder is there", run)
        return
    config.pretrain = own_settings(config)
    pack = source_of(config)
    bank = modality_of(config.modality).bank(pack.size, **asdict(config.bank))
    encoder = encoder_of(config, bank)

    def begin(run: Path) -> None:
        if not refuse_other_settings(run, settings, config):
            write_text(run / "config.yaml", settings)
        if config.shards is not None:
            refuse_other_shards(run, pack.content_key, config)

    pretrain(
        encoder,
        bank,
        pack,
        run,
        begin=begin,
        trained=config.trained,
        info=info(config, pack.content_key),
        **devices_of(config),
        **asdict(config.pretrain),
    )
    if is_first_process():
        log.info("%s: encoder written", run)


def devices_of(config: Config) -> dict[str, Any]:
    """Seed, devices and precision, as keywords of `pretrain`."""
    names = ("seed", "devices", "nodes", "precision", "deterministic", "timeout_s")
    return {"device": config.accelerator, **{name: getattr(config, name) for name in names}}


def own_settings(config: Config) -> PretrainConfig:
    """`pretrain` with the keys in which the method differs from the others.

    Raises:
        UserError: a key that `pretrain` does not have, or a value of the wrong type.
    """
    own = config.method_pretrain.get(config.method, {})
    try:
        merged = OmegaConf.merge(OmegaConf.structured(config.pretrain), own)
        return cast(PretrainConfig, OmegaConf.to_object(merged))
    except OmegaConfBaseException as error:
        raise UserError(f"method_pretrain.{config.method}: {error}") from error


def info(config: Config, pack_key: str) -> dict[str, object]:
    """Provenance that goes into encoder.json."""
    return {
        "method": config.method,
        "seed": config.seed,
        "steps": config.pretrain.steps,
        "pack": pack_key,
        "audioinv": __version__,
    }


def refuse_other_settings(run: Path, new: str, config: Config) -> bool:
    """Whether `run` was begun with the settings `new` (YAML): it has a checkpoint or an encoder.

    With `allow_changes` other settings are told in the log instead of refused, and count as new. A
    key that did not exist when the run was begun had its default.

    Raises:
        UserError: it was begun with other settings.
    """
    path = run / "config.yaml"
    begun = any(run.glob("checkpoints/step_*.pt")) or (run / "encoder").exists()
    if not (begun and path.exists()):
        return False
    old = OmegaConf.to_yaml(OmegaConf.structured(saved_config(run)))
    differing = [
        f"{key}: {before} -> {after}"
        for key, before, after in _differences(old, new, config.method)
        if reads(key)
    ]
    if not differing:
        return True
    if not config.allow_changes:
        raise UserError(
            f"{run} was made with other settings ({'; '.join(differing)}); choose another run "
            "folder, remove this one, or go on with the new settings by allow_changes=true"
        )
    log.warning("%s goes on with other settings: %s", run, "; ".join(differing))
    return False


def refuse_other_shards(run: Path, key: str, config: Config) -> None:
    """Keeps in shards.json what the shards held when `run` was begun: other clips, other steps.

    Raises:
        UserError: they hold something else now.
    """
    path = run / "shards.json"
    if path.exists() and read_json(path) != {"key": key} and any(run.glob("checkpoints/step_*.pt")):
        if not config.allow_changes:
            raise UserError(
                f"{config.shards} hold other files than when {run} was begun; put those back, "
                "choose another run folder, or go on with these by allow_changes=true"
            )
        log.warning("%s goes on with other files in %s", run, config.shards)
    write_json(path, {"key": key})


def _differences(old: str, new: str, method: str) -> list[tuple[str, str, str]]:
    """Key, value before and value after, of the settings (YAML) that are not the same."""
    before, after = (
        {name: str(value) for name, value in _flat(_of_method(text, method))} for text in (old, new)
    )
    names = sorted(before.keys() | after.keys())
    return [
        (n, before.get(n, "nothing"), after.get(n, "nothing"))
        for n in names
        if before.get(n) != after.get(n)
    ]


def _of_method(settings: str, method: str) -> object:
    """The settings (YAML) without what they say of other methods."""
    read = cast(dict[str, Any], OmegaConf.to_container(OmegaConf.create(settings)))
    own = read.get("method_pretrain", {}).get(method, {})
    return {**read, "method_pretrain": {method: own}}


def _flat(value: object, prefix: str = "") -> list[tuple[str, object]]:
    if not isinstance(value, dict) or not value:
        return [(prefix, value)]
    return [
        pair for key, part in value.items() for pair in _flat(part, f"{prefix}.{key}".strip("."))
    ]


def reads(key: str) -> bool:
    """Whether a key touches what pre-training computes; only then must a run keep it."""
    return key not in HARMLESS and key.partition(".")[0] in READ
