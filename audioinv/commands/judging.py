"""What adapt and evaluate share: a run's frozen encoder on a pack, and what its tasks learnt."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.files import read_json
from audioinv.conf.schema import Config
from audioinv.core.descriptor import DescriptorSpace
from audioinv.data.task import Task
from audioinv.runs.build import is_amortised, load_run, modes_of, results_of, run_of, saved_config
from audioinv.runs.folder import encoder_key, task_folder
from audioinv.tasks.adapted import load_adapted
from audioinv.tasks.clips import TaskFeatures
from audioinv.tasks.folds import find_tasks
from audioinv.tasks.learn import Learnt
from audioinv.tasks.protocols import WITHOUT_TASKS, Context

FEATURES_BY = (
    "encoder", "layers", "hop_s", "pool", "views", "strength", "calibration_clips", "score_on",
)  # fmt: skip
ADAPTED_BY = (*FEATURES_BY, "labels_per_class", "readout", "l2", "seed")


def features_of(config: Config) -> TaskFeatures:
    """The features of the run's encoder on the pack."""
    encoder, bank, pack = load_run(config)
    return TaskFeatures(encoder, pack, config.features, bank, only_corner(config, bank.space))


def only_corner(config: Config, space: DescriptorSpace) -> Tensor | None:
    """The corner (K,) of an encoder that was trained at one; all on if it ignores corners."""
    corners = saved_config(run_of(config)).pretrain.corners
    if corners == "space":
        return None
    return space.parse("all" if corners == "leave_one_out" else corners)


def context_of(config: Config) -> Context:
    """What a protocol works on.

    Raises:
        UserError: unknown tasks or modes, or no such run or pack.
    """
    features = features_of(config)
    needed = config.protocol not in WITHOUT_TASKS
    return Context(
        features,
        find_tasks(features.pack, config.tasks) if needed else [],
        modes_of(config),
        partial(learnt_before, config),
        config.adapt,
        config.seed,
        config.score_on,
        named=bool(config.tasks),
        amortised=is_amortised(config),
    )


def learnt_before(config: Config, task: Task, mode: str) -> Learnt:
    """What `audioinv adapt` left of a task.

    Raises:
        UserError: nothing yet, or of other features.
    """
    folder = task_folder(results_of(config), task.name, mode)
    if not already_adapted(folder, config, FEATURES_BY):
        raise UserError(f"{folder} is not adapted yet; run audioinv adapt run={config.run} first")
    return load_adapted(folder)


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
