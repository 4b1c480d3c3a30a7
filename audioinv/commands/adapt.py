"""audioinv adapt: every task learns its descriptor and readout from the run's frozen encoder."""

from __future__ import annotations

import logging

from audioinv.base.progress import shown
from audioinv.base.versions import versions
from audioinv.commands.judging import ADAPTED_BY, already_adapted, features_of
from audioinv.conf.schema import Config
from audioinv.data.doubts import doubts
from audioinv.data.task import Task
from audioinv.runs.build import modes_of, results_of, run_of
from audioinv.runs.folder import command_line, encoder_key, task_folder
from audioinv.tasks import modes
from audioinv.tasks.adapted import save_adapted
from audioinv.tasks.clips import TaskFeatures
from audioinv.tasks.folds import find_tasks, folds
from audioinv.tasks.learn import learn_task

log = logging.getLogger(__name__)


def main(config: Config) -> None:
    """Writes RESULTS/tasks/TASK/MODE/adapted.* for every task and mode that is not there yet.

    Raises:
        UserError: one is there, of another encoder or with other settings that its mode reads; or
            labels that cannot be learnt from.
    """
    features = features_of(config)
    wanted = []
    for task in find_tasks(features.pack, config.tasks):
        new = [mode for mode in modes_of(config) if not is_there(task, mode, config)]
        wanted += [(task, mode) for mode in new]
        if not new:
            log.info("%s, %s: already done", results_of(config), task.name)
        elif told := doubts(features.pack.frame, [task]):
            log.warning("%s", "; ".join(told))
        if new and task.augmentation is None:  # before the first of them is learnt
            list(folds(features.pack, task, None, config.score_on))
    for task, mode in shown(wanted, "adapting", "tasks by modes"):
        adapt_task(task, mode, features, config)


def is_there(task: Task, mode: str, config: Config) -> bool:
    """Whether the task was adapted by the mode.

    Raises:
        UserError: it was, of another encoder or with other settings.
    """
    keys = (*ADAPTED_BY, *modes.reads(mode, config.features.layers))
    return already_adapted(task_folder(results_of(config), task.name, mode), config, keys)


def adapt_task(task: Task, mode: str, features: TaskFeatures, config: Config) -> None:
    """One task by one mode."""
    learnt, info = learn_task(features, task, mode, config.adapt, config.seed, config.score_on)
    made = {"encoder": encoder_key(run_of(config)), "command": command_line()}
    folder = task_folder(results_of(config), task.name, mode)
    save_adapted(folder, learnt, {**info, **made, "versions": versions()})
    rounded = " ".join(f"{name} {value:.2f}" for name, value in info["descriptor"].items())
    log.info("%s, %s: %s in %.1f s", task.name, mode, rounded, info["seconds"])
