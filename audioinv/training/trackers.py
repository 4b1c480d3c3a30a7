"""Where figures go beside the run's own files: TensorBoard, W&B, MLflow, trackio."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lightning.fabric.loggers import TensorBoardLogger

from audioinv.base.errors import UserError
from audioinv.base.files import read_json, write_json
from audioinv.base.near import unknown
from audioinv.training.config import LogConfig

TRACKERS = ("tensorboard", "wandb", "mlflow", "trackio", "none")
log = logging.getLogger(__name__)


def check_tracker(config: LogConfig) -> None:
    """Raises a UserError for a tracker that there is not, or that is not installed."""
    if config.to not in TRACKERS:
        raise unknown("log.to", config.to, TRACKERS)
    if config.to not in ("tensorboard", "none") and not _installed(config.to):
        raise UserError(
            f"log.to={config.to} needs {config.to}, which is not installed: pip install {config.to}"
        )


def _installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ValueError:  # of a module without one
        return True


class Tracker:
    """`log(values, step)` hands numbers on; a run that goes on is the same run there.

    A tracker that fails is told once in the log, and the training goes on without it. Only a full
    disk stops it, where the files are beside the run's own.

    Args:
        run: folder; its name is that of the run. config: checked.
    """

    def __init__(self, run: Path, config: LogConfig) -> None:
        self.run, self.name = run, config.to
        self.target: Any = None
        if config.to == "tensorboard":
            self.target = TensorBoardLogger(root_dir=run, name="tensorboard", version="")
        elif config.to != "none":
            self._guarded(self._begin, config)

    def _begin(self, config: LogConfig) -> None:
        path = self.run / "tracker.json"
        known = read_json(path) if path.exists() else {}
        id = known.get(self.name)
        module = import_module(self.name)
        if self.name == "mlflow":
            module.set_experiment(config.project)
            # of a run that goes on, MLflow wants the id alone
            started = module.start_run(**({"run_id": id} if id else {"run_name": self.run.name}))
            id = started.info.run_id
        else:
            id = id or uuid.uuid4().hex[:12]
            own = {"id": id} if self.name == "wandb" else {}
            name = self.run.name if own else f"{self.run.name}-{id}"  # trackio knows it by name
            module.init(project=config.project, name=name, resume="allow", **own)
        write_json(path, {**known, self.name: id})
        self.target = module

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Hands on finite numbers by their names.

        Raises:
            UserError: TensorBoard's files cannot be written.
        """
        if self.target is None:
            return
        if self.name != "tensorboard":
            write = self.target.log_metrics if self.name == "mlflow" else self.target.log
            self._guarded(write, dict(values), step=step)
            return
        try:
            self.target.log_metrics(values, step)
        except (OSError, ValueError) as error:  # Lightning makes a ValueError of a full disk
            raise UserError(
                f"cannot write to {self.run}; is the disk full? {error.__cause__ or error}"
            ) from error

    def end(self) -> None:
        """The run is over, or stops for now."""
        if self.target is not None and self.name != "tensorboard":
            self._guarded(self.target.end_run if self.name == "mlflow" else self.target.finish)

    def _guarded(self, act: Any, *values: Any, **named: Any) -> None:
        try:
            act(*values, **named)
        except Exception as error:  # whatever a service or its client provokes
            log.warning("%s fails (%s); the run goes on without it", self.name, error)
            self.target = None
