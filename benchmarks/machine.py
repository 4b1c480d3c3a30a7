"""What a measurement was made on."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import Setup

LIBRARIES = ("torch", "torchaudio", "numpy", "librosa", "audiomentations", "torch-audiomentations")


def describe(setup: Setup) -> dict[str, Any]:
    """Hardware, threads and versions, as JSON."""
    return {
        "hardware": hardware(setup.device),
        "threads": setup.threads,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in LIBRARIES},
    }


def hardware(device: torch.device) -> str:
    """For example "2 cores of AMD EPYC, no GPU"."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else "no GPU"
    return f"{cores} cores of {_cpu()}, {gpu}"


def _cpu() -> str:
    """The processor's name as Linux gives it, else as Python does."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or sys.platform


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "absent"
