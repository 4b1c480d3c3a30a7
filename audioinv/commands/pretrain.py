"""audioinv pretrain: one encoder over all descriptors, from clips without labels."""

from __future__ import annotations

import logging
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from audioinv.base.files import write_text
from audioinv.base.version import __version__
from audioinv.commands.statistics import fitted
from audioinv.conf.schema import Config
from audioinv.data.modality import modality_of
from audioinv.data.pack import Pack
from audioinv.runs.build import encoder_of, run_of, source_of, statistics_of
from audioinv.runs.settings import (
    keep_statistics,
    own_settings,
    refuse_other_settings,
    refuse_other_shards,
    refuse_other_statistics,
)
from audioinv.training.processes import is_first_process
from audioinv.training.start import pretrain
from audioinv.training.state import begun, finished

log = logging.getLogger(__name__)


def main(config: Config) -> None:
    """Pre-trains into `run`, resuming what is there; a run that has its steps is left as it is."""
    run = run_of(config)
    settings = OmegaConf.to_yaml(OmegaConf.structured(config), resolve=True)
    config = replace(config, pretrain=own_settings(config))
    refuse_other_settings(run, settings, config)
    refuse_other_statistics(run, config)
    if finished(run, config.pretrain.steps):
        log.info("%s: already done, encoder is there", run)
        return
    pack = source_of(config)
    bank = modality_of(config.modality).bank(pack.size, **asdict(config.bank))
    encoder = encoder_of(config, bank)
    statistics = statistics_for(run, config, encoder.frontend, pack)

    def begin(run: Path) -> None:
        if not refuse_other_settings(run, settings, config):
            write_text(run / "config.yaml", settings)
        refuse_other_statistics(run, config)
        keep_statistics(run, statistics)
        if config.shards is not None:
            refuse_other_shards(run, pack.content_key, config)

    pretrain(
        encoder,
        bank,
        pack,
        run,
        begin=begin,
        trained=config.trained,
        fit=False,
        info=info(config, pack.content_key),
        monitor=asdict(config.monitor),
        log=asdict(config.log),
        **devices_of(config),
        **asdict(config.pretrain),
    )
    if is_first_process():
        log.info("%s: encoder written", run)


def statistics_for(run: Path, config: Config, frontend: Any, pack: Pack) -> dict[str, Any]:
    """Those that `statistics=` names; or else, of a new run, of its training clips.

    A run that goes on has those of its checkpoint. `statistics=none` leaves maps as they are.
    """
    if config.statistics is not None or begun(run):
        return statistics_of(config)
    modality_of(config.modality).check(pack, frontend)
    values = fitted(frontend, pack)
    if is_first_process() and values["mean"]:  # a front end of waveforms has none
        log.info(
            "%s: no statistics= is given: mean %s and standard deviation %s of the training clips, "
            "kept in statistics.json; statistics=none leaves maps as they are",
            run, values["mean"], values["std"],
        )  # fmt: skip
    return values


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
