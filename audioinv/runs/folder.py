"""Names inside a run folder, and what every result records about its making."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shlex
import sys
from pathlib import Path

from audioinv.base.files import ENCODER_FILES, key_of


def task_folder(run: Path, task: str, mode: str) -> Path:
    """`run`/tasks/TASK/MODE, with characters that folders dislike replaced."""
    return run / "tasks" / _safe(task) / _safe(mode)


def encoder_key(run: Path) -> str:
    """SHA-256 of a run's encoder, by which a result is known as its own."""
    return key_of(run / "encoder", ENCODER_FILES)


def command_line() -> str:
    """The command that is running, ready to paste."""
    return shlex.join(["audioinv", *sys.argv[1:]])


def hardware() -> str:
    """This machine in words: processor, cores and GPUs."""
    import torch  # here, so that a table can be made without

    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(
            line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
        )
    gpus = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
    return ", ".join([f"{os.cpu_count()} cores of {model}", *(gpus or ["no GPU"])])


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.+-]", "_", name)
