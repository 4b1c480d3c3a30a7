"""audioinv pretrain: one encoder over all descriptors, from clips without labels."""

from __future__ import annotations

import logging
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from audioinv.base.files import write_text
from audioinv.base.version import __version__
from audioinv.conf.schema import Config
from audioinv.data.modality import modality_of
from audioinv.runs.build import (
    encoder_of,
    run_of,
    source_of,
)
from audioinv.runs.settings import (
    keep_statistics,
    own_settings,
    refuse_other_settings,
    refuse_other_shards,
    refuse_other_statistics,
)
from audioinv.training.processes import is_first_process
from audioinv.training.start import pretrain

log = logging.getLogger(__name__)


def main(config: Config) -> None:
    """Pre-trains into `run`, resuming what is there; a finished run is left as it is."""
    run = run_of(config)
    settings = OmegaConf.to_yaml(OmegaConf.structured(config), resolve=True)
    refuse_other_settings(run, settings, config)
    refuse_other_statistics(run, config)
    if (run / "encoder" / "encoder.json").exists():
        log.info("%s: already done, encoder is there", run)
        return
    config = replace(config, pretrain=own_settings(config))
    pack = source_of(config)
    bank = modality_of(config.modality).bank(pack.size, **asdict(config.bank))
    encoder = encoder_of(config, bank)

    def begin(run: Path) -> None:
        if not refuse_other_settings(run, settings, config):
            write_text(run / "config.yaml", settings)
        refuse_other_statistics(run, config)
        keep_statistics(run, config)
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


def info(config: Config, pack_key: str) -> dict[str, object]:
    """Provenance that goes into encoder.json."""
    return {
        "method": config.method,
        "seed": config.seed,
        "steps": config.pretrain.steps,
        "pack": pack_key,
        "audioinv": __version__,
    }
