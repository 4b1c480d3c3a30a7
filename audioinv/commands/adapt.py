"""audioinv adapt: every task learns its descriptor and readout from the run's frozen encoder."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from audioinv.base.errors import UserError
from audioinv.base.files import read_json
from audioinv.commands.features import TaskFeatures
from audioinv.conf.schema import Config
from audioinv.core.encoder import AmortisedEncoder
from audioinv.data.pack import Pack
from audioinv.data.task import Task
from audioinv.runs.build import load_run, modes_of, results_of, run_of
from audioinv.runs.folder import command_line, encoder_key, task_folder, versions
from audioinv.tasks.adapt import Mixture, choose, fit, learn_jointly
from audioinv.tasks.adapted import Adapted, save_adapted
from audioinv.tasks.features import FeatureCache
from audioinv.tasks.folds import find_tasks, folds
from audioinv.tasks.labelled import Labelled, with_few_labels
from audioinv.tasks.surrogate import learn_by_surrogate

log = logging.getLogger(__name__)
FEATURES_BY = (
    "encoder", "layers", "hop_s", "pool", "views", "strength", "calibration_clips", "score_on",
)  # fmt: skip
ADAPTED_BY = (*FEATURES_BY, "labels_per_class", "readout", "l2", "seed")


def main(config: Config) -> None:
    """Writes RESULTS/tasks/TASK/MODE/adapted.* for every task and mode that is not there yet."""
    encoder, bank, pack = load_run(config)
    out = results_of(config)
    features = TaskFeatures(encoder, bank, pack, config)
    for task in find_tasks(pack, config.tasks):
        wanted = [
            mode
            for mode in modes_of(config)
            if not already_adapted(task_folder(out, task.name, mode), config, ADAPTED_BY)
        ]
        if not wanted:
            log.info("%s, %s: already done", out, task.name)
            continue
        for mode in wanted:
            adapt_task(task, mode, encoder, features, pack, config)


def already_adapted(folder: Path, config: Config, keys: Sequence[str]) -> bool:
    """Whether `folder` holds an adaptation.

    Raises:
        UserError: it does, of another encoder or with other values of `keys`.
    """
    if not (folder / "adapted.json").exists():
        return False
    info = read_json(folder / "adapted.json")
    wanted = {**vars(config.features), **vars(config.adapt), "seed": config.seed}
    wanted |= {"score_on": config.score_on, "encoder": encoder_key(run_of(config))}
    differing = [
        f"{key} {str(info[key])[:12]} -> {str(wanted[key])[:12]}"
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
    features: TaskFeatures,
    pack: Pack,
    config: Config,
) -> None:
    """One task by one mode, over the task's folds."""
    cache, drawn = features.of(task)
    began = time.perf_counter()
    adapted, n_train = [], 0
    for data, _ in folds(pack, task, drawn, config.score_on):
        data = with_few_labels(data, config.adapt.labels_per_class, config.seed)
        mixture = pick(mode, encoder, cache, data, config)
        n_train = len(data.fit_rows)
        adapted.append(Adapted(mixture, fit(mixture, cache, data, config.adapt)))
    seconds = time.perf_counter() - began
    folder = task_folder(results_of(config), task.name, mode)
    reported = torch.stack([fold.mixture.reported for fold in adapted]).mean(0)
    info: dict[str, Any] = {
        "task": task.to_json(),
        "mode": mode,
        "descriptor": encoder.space.to_dict(reported),
        "n_train": n_train,
        **vars(config.features),
        "labels_per_class": config.adapt.labels_per_class,
        "readout": config.adapt.readout,
        "l2": config.adapt.l2,
        "seed": config.seed,
        "score_on": config.score_on,
        "encoder": encoder_key(run_of(config)),
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
    """The mixture of one fold; gradient descent needs the encoder, the others its features."""
    if mode == "paper":
        return learn_jointly(encoder, cache, data, config.adapt, config.seed)
    if mode == "surrogate":
        return learn_by_surrogate(encoder, cache, data, config.adapt, config.seed)
    return choose(mode, encoder.space, cache, data, config.adapt, config.seed)
