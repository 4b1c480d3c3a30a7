"""audioinv pretrain: one encoder over all descriptors, from clips without labels."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path

from omegaconf import OmegaConf

from audioinv.base.files import remove_abandoned, write_text
from audioinv.base.lock import locked
from audioinv.base.version import __version__
from audioinv.commands.progress import training_progress
from audioinv.conf.schema import Config
from audioinv.core.bank import AugmentationBank
from audioinv.core.encoder import AmortisedEncoder
from audioinv.data.modality import modality_of
from audioinv.data.pack import Pack
from audioinv.runs.build import (
    encoder_of,
    fabric_of,
    run_of,
    source_of,
    training_bank,
    training_clips,
)
from audioinv.runs.settings import own_settings, refuse_other_settings, refuse_other_shards
from audioinv.training.loop import pretrain
from audioinv.training.processes import is_first_process, process_group
from audioinv.training.signals import stop_signals

log = logging.getLogger(__name__)


def main(config: Config) -> None:
    """Pre-trains into `run`, resuming what is there; a finished run is left as it is."""
    run = run_of(config)
    settings = OmegaConf.to_yaml(OmegaConf.structured(config), resolve=True)
    refuse_other_settings(run, settings, config)
    if (run / "encoder" / "encoder.json").exists():
        log.info("%s: already done, encoder is there", run)
        return
    config = replace(config, pretrain=own_settings(config))
    pack = source_of(config)
    modality = modality_of(config.modality)
    bank = modality.bank(pack.size, **asdict(config.bank))
    encoder = encoder_of(config, bank)
    modality.check(pack, encoder.frontend)
    views = training_bank(bank, encoder)
    first = is_first_process()  # of several, the one that writes
    with owned(run) if first else nullcontext():
        if first and not refuse_other_settings(run, settings, config):
            write_text(run / "config.yaml", settings)
        if first and config.shards is not None:
            refuse_other_shards(run, pack.content_key, config)
        if config.trained:
            train(encoder, views, pack, run, config)
        if first:
            encoder.save(run / "encoder", info(config, pack.content_key))
            log.info("%s: encoder written", run)


@contextmanager
def owned(run: Path) -> Iterator[None]:
    """The run folder is this process's, and what a killed one left half written is gone."""
    with locked(run):
        remove_abandoned(run, run / "checkpoints", run / "encoder")
        yield


def train(
    encoder: AmortisedEncoder, bank: AugmentationBank, pack: Pack, run: Path, config: Config
) -> None:
    """Pre-trains `encoder` in place."""
    clips = training_clips(encoder, pack)
    fabric = fabric_of(config)
    with (
        stop_signals() as stop,
        process_group(fabric),
        training_progress(config.pretrain.steps, run.name) as shown,
    ):
        progress = shown if fabric.is_global_zero else (lambda step, loss, lr: None)
        pretrain(encoder, bank, clips, config.pretrain, run, fabric, config.seed, progress, stop)


def info(config: Config, pack_key: str) -> dict[str, object]:
    """Provenance that goes into encoder.json."""
    return {
        "method": config.method,
        "seed": config.seed,
        "steps": config.pretrain.steps,
        "pack": pack_key,
        "audioinv": __version__,
    }
