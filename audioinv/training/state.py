"""Training state on disk: written atomically, read without unpickling code."""

from __future__ import annotations

import logging
import math
import sys
import zipfile
from pathlib import Path
from typing import Any

import torch

from audioinv.base.checked import checked
from audioinv.base.errors import UserError
from audioinv.base.files import atomic_path, read_json

KEEP = 2
log = logging.getLogger(__name__)


def save_checkpoint(folder: Path, step: int, state: dict[str, Any], keep: int = KEEP) -> Path:
    """Writes `step_<step>.pt`, then removes all but the newest `keep` checkpoints.

    Equal states give equal bytes: torch.save would write a file's name into it, and equal names of
    a state once or twice, as they are one object or two.
    """
    path = folder / f"step_{step:08d}.pt"
    with atomic_path(path) as temporary:
        try:
            with open(temporary, "wb") as file:
                torch.save(_interned(state), file)
        except RuntimeError as error:  # torch reports a full disk as a RuntimeError
            raise OSError(f"is the disk full? {str(error).splitlines()[0]}") from error
    for old in checkpoints(folder)[:-keep]:
        old.unlink()
    return path


def _interned(value: Any) -> Any:
    """`value` with one object for all equal names of its dictionaries."""
    if type(value) is dict:
        return {
            sys.intern(key) if type(key) is str else key: _interned(part)
            for key, part in value.items()
        }
    return [_interned(part) for part in value] if type(value) is list else value


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in `folder`, oldest first."""
    return sorted(folder.glob("step_*.pt"))


def check_bytes(path: Path) -> None:
    """Compares a checkpoint with the checksums in it, which torch.load does not look at.

    Raises:
        BadZipFile, OSError: it is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(f"{damaged} is damaged")


def load_latest(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """The newest readable checkpoint, or None if there is none.

    Raises:
        UserError: checkpoints are there and none can be read.
    """
    found = checkpoints(folder)
    for path in reversed(found):
        try:
            check_bytes(path)
            state = torch.load(path, map_location="cpu", weights_only=True)
            return path, checked(state, "the state of a run", step=int)
        except Exception as error:  # whatever a damaged file provokes: try the one before
            log.warning("%s cannot be read (%s); trying the one before", path, type(error).__name__)
    if found:
        raise UserError(f"no checkpoint in {folder} can be read; remove the folder to start anew")
    return None


def begun(run: Path) -> bool:
    """Whether `run` has a checkpoint or an encoder, which other settings would not fit."""
    return any(run.glob("checkpoints/step_*.pt")) or (run / "encoder").exists()


def finished(run: Path, steps: int = 0) -> bool:
    """Whether `run` holds an encoder of `steps` steps or more; one of fewer is there to go on."""
    done = steps_of(run)
    return done is not None and done >= steps


def steps_of(run: Path) -> float | None:
    """Steps of the encoder in `run`; infinity where it does not tell, None where there is none."""
    path = run / "encoder" / "encoder.json"
    if not path.exists():
        return None
    told = read_json(path)
    info = told.get("info") if isinstance(told, dict) else None
    steps = info.get("steps") if isinstance(info, dict) else None
    return steps if isinstance(steps, int) else math.inf
