"""audioinv adapt: every task learns its descriptor and readout from the run's frozen encoder."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audioinv.commands.build import encoder_clips, load_run, modes_of
from audioinv.commands.run_folder import command_line, task_folder, versions
from audioinv.conf.schema import Config
from audioinv.core.adapt import (
    AdaptConfig,
    Labelled,
    Mixture,
    choose,
    fit,
    learn_jointly,
    with_few_labels,
)
from audioinv.core.adapted import Adapted, save_adapted
from audioinv.core.bank import AugmentationBank
from audioinv.core.encoder import AmortisedEncoder
from audioinv.core.errors import UserError
from audioinv.core.features import FeatureCache, maps_of
from audioinv.core.files import read_json
from audioinv.data.dataset import sample_rows, training_rows
from audioinv.data.folds import find_tasks, folds, transformed
from audioinv.data.pack import Pack
from audioinv.data.task import Task

log = logging.getLogger(__name__)
Caches = dict[str, tuple[FeatureCache, Tensor | None]]
FEATURES_BY = ("layers", "calibration_clips")
ADAPTED_BY = (*FEATURES_BY, "labels_per_class", "readout", "seed")


def main(config: Config) -> None:
    """Writes `run`/tasks/TASK/MODE/adapted.* for every task and mode that is not there yet."""
    encoder, bank, pack = load_run(config)
    run = Path(str(config.run))
    caches: Caches = {}
    for task in find_tasks(pack, config.tasks):
        wanted = [
            mode
            for mode in modes_of(config)
            if not already_adapted(task_folder(run, task.name, mode), config, ADAPTED_BY)
        ]
        if not wanted:
            log.info("%s, %s: already done", run, task.name)
            continue
        cache, drawn = features_of(task, encoder, bank, pack, config.adapt, caches)
        for mode in wanted:
            adapt_task(task, mode, encoder, cache, drawn, pack, config)


def already_adapted(folder: Path, config: Config, keys: Sequence[str]) -> bool:
    """Whether `folder` holds an adaptation.

    Raises:
        UserError: it does, made with other values of `keys`.
    """
    if not (folder / "adapted.json").exists():
        return False
    info = read_json(folder / "adapted.json")
    wanted = {**vars(config.adapt), "seed": config.seed}
    differing = [
        f"{key} {info[key]} -> {wanted[key]}"
        for key in keys
        if key in info and info[key] != wanted[key]
    ]
    if differing:
        raise UserError(
            f"{folder} was adapted with other settings ({'; '.join(differing)}); "
            "give the same, or remove the folder"
        )
    return True


def adapt_task(
    task: Task,
    mode: str,
    encoder: AmortisedEncoder,
    cache: FeatureCache,
    drawn: Tensor | None,
    pack: Pack,
    config: Config,
) -> None:
    """One task by one mode, over the task's folds."""
    began = time.perf_counter()
    adapted, n_train = [], 0
    for data, _ in folds(pack, task, drawn):
        data = with_few_labels(data, config.adapt.labels_per_class, config.seed)
        mixture = pick(mode, encoder, cache, data, config)
        n_train = len(data.fit_rows)
        adapted.append(Adapted(mixture, fit(mixture, cache, data, config.adapt)))
    seconds = time.perf_counter() - began
    folder = task_folder(Path(str(config.run)), task.name, mode)
    reported = torch.stack([fold.mixture.reported for fold in adapted]).mean(0)
    info: dict[str, Any] = {
        "task": task.to_json(),
        "mode": mode,
        "descriptor": encoder.space.to_dict(reported),
        "n_train": n_train,
        "layers": config.adapt.layers,
        "labels_per_class": config.adapt.labels_per_class,
        "readout": config.adapt.readout,
        "calibration_clips": config.adapt.calibration_clips,
        "seed": config.seed,
        "seconds": round(seconds, 2),
        "command": command_line(),
        "versions": versions(),
    }
    save_adapted(folder, adapted, info)
    rounded = " ".join(f"{name} {value:.2f}" for name, value in info["descriptor"].items())
    log.info("%s, %s: %s in %.1f s", task.name, mode, rounded, seconds)


def pick(
    mode: str, encoder: AmortisedEncoder, cache: FeatureCache, data: Labelled, config: Config
) -> Mixture:
    """The mixture of one fold; the paper's mode needs the encoder, the others its features."""
    if mode == "paper":
        return learn_jointly(encoder, cache.maps, data, config.adapt, config.seed)
    return choose(mode, encoder.space, cache, data, config.adapt, config.seed)


def features_of(
    task: Task,
    encoder: AmortisedEncoder,
    bank: AugmentationBank,
    pack: Pack,
    config: AdaptConfig,
    caches: Caches,
) -> tuple[FeatureCache, Tensor | None]:
    """The features of a task's clips and drawn targets; tasks over the same clips share a cache.

    A task over an augmentation has clips of its own: its parameters are keyed by its name.
    """
    key = task.name if task.augmentation else ""
    if key not in caches:
        x, drawn = transformed(task, bank, encoder_clips(encoder, pack, range(len(pack))))
        calibration = calibration_maps(encoder, pack, config.calibration_clips)
        cache = FeatureCache(encoder, maps_of(encoder, x), calibration, config.layers)
        caches[key] = cache, drawn
    return caches[key]


def calibration_maps(encoder: AmortisedEncoder, pack: Pack, n: int) -> Tensor:
    """Maps of at most `n` training clips, the same in every command, for BatchNorm statistics."""
    rows = sample_rows(training_rows(pack), n, 0, "calibration")
    if not rows:
        return torch.empty(0)
    return maps_of(encoder, encoder_clips(encoder, pack, rows))
