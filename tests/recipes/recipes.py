"""The recipes of the halves that are there: their configs, and what their drivers say and do."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from audioinv.conf.compose import compose_config
from audioinv.conf.schema import Config
from tests.halves import HAVE

RECIPES = Path(__file__).parents[2] / "recipes"
IMAGES = ("cifar10", "cifar100", "imagenet100", "landmarks", "vision_benchmark")
MODALITY = {
    **{
        path.parts[-3]: "audio"
        for path in sorted(RECIPES.glob("*/ssl1/run.sh"))
        if (path.parent / "conf").is_dir()
    },
    **{"spirograph": "spirograph", "sonograph": "sonograph", **dict.fromkeys(IMAGES, "image")},
}
NAMES = [name for name, modality in MODALITY.items() if modality in HAVE]
BENCHMARKS = ("benchmark", "vision_benchmark")
OF_CORPORA = [name for name in NAMES if name not in BENCHMARKS]
LANDMARKS = ("ibug_300w", "celeba", "leeds_sports_pose")
# corpora of the recipes that are not called as theirs; the first is the default
CORPUS = {
    "demo": ("sonograph",),
    "sonograph": ("sonograph_factors",),
    "esc10": ("esc50",),
    "imagenet100": ("imagenet",),
    "landmarks": LANDMARKS,
}


@cache
def composed(name: str, *overrides: str) -> Config:
    conf = RECIPES / name / "ssl1" / "conf"
    return compose_config([f"modality={MODALITY[name]}", *overrides], str(conf))


def run(name: str, *options: str) -> str:
    command = ["bash", str(RECIPES / name / "ssl1" / "run.sh"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def commands(name: str, *options: str) -> list[list[str]]:
    """The words of every command that a dry run prints, without the program."""
    lines = run(name, "--dry_run", "true", "--data_root", "/data", *options).splitlines()
    return [shlex.split(line)[1:] for line in lines[2:]]


def after(words: list[str], option: str) -> str:
    return words[words.index(option) + 1]


def copied(name: str, folder: Path) -> Path:
    """run.sh of a copy of the recipe and of its driver in `folder`."""
    ignored = shutil.ignore_patterns("exp", "packs", "data", "downloads")
    for part in ("TEMPLATE", name):
        shutil.copytree(RECIPES / part, folder / "recipes" / part, ignore=ignored)
    return folder / "recipes" / name / "ssl1" / "run.sh"


def results(script: Path, folder: Path, *options: object) -> str:
    """What a debug run puts into RESULTS.md."""
    command = ["bash", script, "--config", "debug", "--expdir", folder / "exp", *options]
    command += ["--audioinv", Path(sys.executable).with_name("audioinv")]
    command += ["--results", folder / "RESULTS.md"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return (folder / "RESULTS.md").read_text()
