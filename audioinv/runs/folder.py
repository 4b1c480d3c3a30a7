"""Names inside a run folder, and what every result records about its making."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import shlex
import sys
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from audioinv.base.version import __version__

RECORDED = ("torch", "torchaudio", "timm", "scikit-learn")


def task_folder(run: Path, task: str, mode: str) -> Path:
    """`run`/tasks/TASK/MODE, with characters that folders dislike replaced."""
    return run / "tasks" / _safe(task) / _safe(mode)


def encoder_key(run: Path) -> str:
    """SHA-256 of a run's encoder, by which a result is known as its own."""
    files = [run / "encoder" / name for name in ("encoder.json", "encoder.safetensors")]
    digest = hashlib.sha256()
    for path in (path for path in files if path.exists()):
        digest.update(_digest(path, path.stat().st_mtime_ns))
    return digest.hexdigest()


@lru_cache(maxsize=4)
def _digest(path: Path, mtime_ns: int) -> bytes:
    """SHA-256 of a file that was last changed then: tasks and modes ask again and again."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def command_line() -> str:
    """The command that is running, ready to paste."""
    return shlex.join(["audioinv", *sys.argv[1:]])


def versions() -> dict[str, str]:
    """Versions of what computes the figures; not every modality needs all of it."""
    found = {"audioinv": __version__, "python": platform.python_version()}
    for name in RECORDED:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


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
