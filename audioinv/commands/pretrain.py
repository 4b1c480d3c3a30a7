"""audioinv pretrain: one encoder over all descriptors, from clips without labels."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import cast

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from audioinv import __version__
from audioinv.commands.build import encoder_of, fabric_of, pack_of, run_of, training_clips
from audioinv.commands.progress import training_progress
from audioinv.conf.schema import Config
from audioinv.core.errors import UserError
from audioinv.core.files import write_text
from audioinv.core.pretrain import PretrainConfig, pretrain
from audioinv.modality import modality_of

log = logging.getLogger(__name__)


def main(config: Config) -> None:
    """Pre-trains into `run`, resuming what is there; a finished run is left as it is."""
    run = run_of(config)
    settings = OmegaConf.to_yaml(OmegaConf.structured(config), resolve=True)
    started = refuse_other_settings(run, settings)
    if (run / "encoder" / "encoder.json").exists():
        log.info("%s: already done, encoder is there", run)
        return
    config.pretrain = own_settings(config)
    pack = pack_of(config)
    modality = modality_of(config.modality)
    bank = modality.bank(config.bank, pack)
    encoder = encoder_of(config, bank)
    modality.check(pack, encoder.frontend)
    if not started:
        write_text(run / "config.yaml", settings)
    if config.trained:
        clips = training_clips(encoder, pack)
        with training_progress(config.pretrain.steps, run.name) as progress:
            pretrain(
                encoder, bank, clips, config.pretrain, run, fabric_of(config), config.seed, progress
            )
    encoder.save(run / "encoder", info(config, pack.content_key))
    log.info("%s: encoder written", run)


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


def refuse_other_settings(run: Path, new: str) -> bool:
    """Whether `run` was begun: it has a checkpoint or an encoder.

    Raises:
        UserError: it was begun with settings other than `new` (YAML).
    """
    path = run / "config.yaml"
    begun = any(run.glob("checkpoints/step_*.pt")) or (run / "encoder").exists()
    if not (begun and path.exists()):
        return False
    old = path.read_text(encoding="utf-8")
    differing = [f"{a} -> {b}" for a, b in _differences(old, new) if not _may_differ(a)]
    if differing:
        raise UserError(
            f"{run} was made with other settings ({'; '.join(differing[:5])}); "
            "choose another run folder, or remove this one"
        )
    return True


def _differences(old: str, new: str) -> list[tuple[str, str]]:
    before, after = (
        {name: str(value) for name, value in _flat(OmegaConf.to_container(OmegaConf.create(text)))}
        for text in (old, new)
    )
    names = sorted(before.keys() | after.keys())
    return [
        (f"{n}: {before.get(n, 'nothing')}", after.get(n, "nothing"))
        for n in names
        if before.get(n) != after.get(n)
    ]


def _flat(value: object, prefix: str = "") -> list[tuple[str, object]]:
    if not isinstance(value, dict) or not value:
        return [(prefix, value)]
    return [
        pair for key, part in value.items() for pair in _flat(part, f"{prefix}.{key}".strip("."))
    ]


def _may_differ(line: str) -> bool:
    """Settings that do not touch what pre-training computes."""
    free = ("adapt.", "measure.", "tasks", "run:", "pack:", "statistics:", "accelerator", "devices")
    return line.startswith(free)
