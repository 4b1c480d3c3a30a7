"""audioinv evaluate: scores on test clips what `audioinv adapt` learnt."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audioinv.commands.adapt import FEATURES_BY, Caches, already_adapted, features_of
from audioinv.commands.build import load_run, modes_of
from audioinv.commands.run_folder import command_line, task_folder, versions
from audioinv.conf.schema import Config
from audioinv.core.adapted import load_adapted
from audioinv.core.errors import UserError
from audioinv.core.features import FeatureCache
from audioinv.core.files import read_json, write_json
from audioinv.core.scores import score_predictions
from audioinv.data.folds import find_tasks, folds
from audioinv.data.pack import Pack
from audioinv.data.task import Task

log = logging.getLogger(__name__)
PROTOCOL = "linear-v1"

METHODS = {
    "amortised": "Amortised",
    "simclr": "SimCLR, all augmentations",
    "simclr_frequency": "SimCLR, frequency group only",
    "simclr_time": "SimCLR, time group only",
    "conditioned_allon": "Conditioned network, trained all-on only",
    "random": "Random encoder",
    "logmel": "Spectrum mean and std, no network",
}
MODES = {
    "fixed:all": "all on",
    "search": "best corner by evidence",
    "search:validation": "best corner by validation",
    "soft": "soft descriptor",
    "paper": "learnt by gradient (paper)",
}


def main(config: Config) -> None:
    """Writes `run`/tasks/TASK/MODE/result.json for every adapted task and mode."""
    encoder, bank, pack = load_run(config)
    run = Path(str(config.run))
    method = read_json(run / "encoder" / "encoder.json")["info"].get("method", config.method)
    caches: Caches = {}
    for task in find_tasks(pack, config.tasks):
        for mode in modes_of(config):
            folder = task_folder(run, task.name, mode)
            if not already_adapted(folder, config, FEATURES_BY):
                raise UserError(f"{folder} is not adapted yet; run audioinv adapt run={run} first")
            if (folder / "result.json").exists():
                log.info("%s: already done", folder)
                continue
            cache, drawn = features_of(task, encoder, bank, pack, config.adapt, caches)
            result = evaluate(folder, task, cache, drawn, pack)
            result |= {"method": method, "label": row_label(method, mode)}
            write_json(folder / "result.json", result)
            log.info("%s, %s: %s %.4f", task.name, mode, result["metric"], result["value"])


def evaluate(
    folder: Path, task: Task, cache: FeatureCache, drawn: Tensor | None, pack: Pack
) -> dict[str, Any]:
    """Scores of one task and mode over the test rows of all its folds together."""
    adapted, info = load_adapted(folder)
    predicted, targets = [], []
    for fold, (data, test) in zip(adapted, folds(pack, task, drawn), strict=True):
        features = torch.cat([cache(d)[test] for d in fold.mixture.descriptors], dim=1)
        predicted.append(fold.readout.predict(features))
        targets.append(data.targets[test])
    scores = score_predictions(torch.cat(predicted), torch.cat(targets), task.kind)
    kept = ("mode", "descriptor", "n_train", "layers", "readout", "seed", "seconds")
    return {
        "protocol": PROTOCOL,
        "task": task.name,
        "kind": task.kind,
        **scores,
        **{key: info[key] for key in kept},
        "command": command_line(),
        "versions": versions(),
    }


def row_label(method: str, mode: str) -> str:
    """How a table names a row."""
    name = METHODS.get(method, method)
    if method != "amortised":
        return name if mode == "fixed:all" else f"{name}, {MODES.get(mode, mode)}"
    if mode.startswith("fixed:-"):
        return f"{name}, {mode.removeprefix('fixed:-').replace('_', ' ')} off"
    if mode.startswith("fixed:") and mode not in MODES:
        return f"{name}, only {mode.removeprefix('fixed:').replace('_', ' ').replace('+', ', ')}"
    return f"{name}, {MODES.get(mode, mode)}"
