"""A tiny folder corpus of tones, and the whole command line run over it once."""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("audioinv.audio", reason="the half of sounds was left out")

import soundfile

from audioinv.cli import main

RATE = 8000
SMALL = (
    "frontend.sample_rate=8000",
    "frontend.clip_s=0.5",
    "frontend.n_fft=512",
    "frontend.hop=256",
    "frontend.n_bins=24",
    "bank.names=[pitch_shift,time_shift,white_noise]",
    "backbone=resnet10_narrow",
    "backbone.width=0.125",
    "backbone.dim=16",
    "conditioning=hyper_light",
    "conditioning.bases=2",
    "pretrain.steps=6",
    "pretrain.batch_size=12",
    "pretrain.warmup_steps=2",
    "pretrain.checkpoint_every=2",
    "pretrain.log_every=1",
    "pretrain.projector_hidden=16",
    "pretrain.projector_dim=8",
    "adapt.epochs=1",
    "measure.n_clips=12",
    "accelerator=cpu",
)
MODES = "adapt.modes=[fixed:all,fixed:-pitch_shift,search,search:validation,soft,paper]"


def write_tones(root: Path) -> None:
    """Six classes of tones, 6 to train on, 2 to choose on and 2 to test on each."""
    random = np.random.default_rng(0)
    time = np.arange(RATE * 6 // 10) / RATE
    for label in range(6):
        for number in range(10):
            split = "train" if number < 6 else "valid" if number < 8 else "test"
            hz = 220 * 2 ** (label / 3) * random.uniform(0.98, 1.02)
            samples = 0.4 * np.sin(2 * np.pi * hz * time) + 0.02 * random.standard_normal(len(time))
            path = root / split / f"tone{label}" / f"{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, samples, RATE)


def add_shift_task(corpus: Path) -> None:
    """A second task, in which the label is how far a clip was shifted."""
    described = json.loads(corpus.read_text())
    shift = {"name": "shift", "label": "offset_s", "kind": "regression", "groups": None}
    described["tasks"].append({**shift, "augmentation": "time_shift", "unit": "s"})
    corpus.write_text(json.dumps(described))


@dataclass(frozen=True)
class World:
    """Folders of the corpus and of one finished run."""

    folder: Path

    @property
    def manifest(self) -> Path:
        return self.folder / "data" / "manifest.csv"

    @property
    def pack(self) -> Path:
        return self.folder / "pack"

    @property
    def statistics(self) -> Path:
        return self.folder / "exp" / "statistics.json"

    @property
    def run(self) -> Path:
        return self.folder / "exp" / "amortised_s0"

    def settings(self, run: Path | None = None) -> list[str]:
        """Overrides of every Hydra command."""
        given = [f"pack={self.pack}", f"statistics={self.statistics}", f"run={run or self.run}"]
        return [*SMALL, *given]

    def commands(self) -> dict[str, list[str]]:
        """Every command, in order, each with its arguments."""
        settings = self.settings()
        return {
            "prepare": [
                "folder",
                "--root",
                str(self.folder / "audio"),
                "--out",
                str(self.folder / "data"),
            ],
            "validate": [str(self.manifest), "--nj", "1"],
            "pack": [
                str(self.manifest),
                "--out",
                str(self.pack),
                "--sample_rate",
                "8000",
                "--nj",
                "1",
            ],
            "statistics": settings,
            "pretrain": settings,
            "adapt": [*settings, MODES],
            "evaluate": [*settings, MODES],
            "measure": settings,
            "embed": ["--out", str(self.folder / "features.parquet"), *settings],
            "export": ["--out", str(self.folder / "encoder.pt2"), *settings],
            "report": [str(self.folder / "exp"), "--results", str(self.folder / "RESULTS.md")],
        }


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The corpus up to its statistics."""
    world = World(tmp_path_factory.mktemp("world"))
    write_tones(world.folder / "audio")
    for name in ("prepare", "validate", "pack", "statistics"):
        assert main([name, *world.commands()[name]]) == 0, name
        if name == "prepare":
            add_shift_task(world.manifest.with_name("corpus.json"))
    return world


@pytest.fixture(scope="session")
def finished(packed: World) -> World:
    """Every command has run."""
    for name in ("pretrain", "adapt", "evaluate", "measure", "embed", "export", "report"):
        assert main([name, *packed.commands()[name]]) == 0, name
    return packed


def files_in(folder: Path) -> dict[str, str]:
    """Relative path -> hash of the content and time of the last change, of all files."""
    return {
        str(path.relative_to(folder)): f"{hashlib.sha256(path.read_bytes()).hexdigest()} "
        f"{path.stat().st_mtime_ns}"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="session")
def snapshot() -> Callable[[Path], dict[str, str]]:
    return files_in


@pytest.fixture
def small_disk() -> Iterator[Callable[[Path, str], None]]:
    """A function: mounts a file system of a size, such as "64k", on a new folder for this test."""
    mounted = []

    def mount(folder: Path, size: str) -> None:
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("this process may not mount a small tmpfs")
        mounted.append(folder)

    yield mount
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


@dataclass
class Child:
    """A command in a process of its own, forked from this one: nothing is imported again."""

    process: Any
    log: Path

    def end(self, within_s: float = 600) -> int:
        """Its exit status, minus the signal that killed it."""
        self.process.join(within_s)
        assert self.process.exitcode is not None, f"still runs after {within_s} s\n{self.said()}"
        return int(self.process.exitcode)

    def kill(self, number: int = signal.SIGKILL) -> None:
        os.kill(self.process.pid, number)

    def said(self) -> str:
        """What it wrote on stderr."""
        return self.log.read_text() if self.log.exists() else ""

    def lines(self) -> list[str]:
        """Its own last words: what the command line prints when it gives up."""
        return [line for line in self.said().splitlines() if line.startswith("audioinv ")]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Child]]:
    """A function: starts a command as a `Child`; `before` runs in it first."""
    children: list[Child] = []
    context: Any = multiprocessing.get_context("fork")

    def start(
        arguments: Sequence[str],
        before: Callable[[], None] = lambda: None,
        environment: Mapping[str, str] | None = None,
        work: Callable[[Sequence[str]], int] = main,
    ) -> Child:
        log = tmp_path / f"stderr_{len(children)}"

        def run() -> None:
            file = os.open(log, os.O_WRONLY | os.O_CREAT)
            os.dup2(file, 2)
            sys.stderr = os.fdopen(2, "w", buffering=1)
            logging.root.handlers.clear()
            os.environ.update(environment or {})
            before()
            sys.exit(work(list(arguments)))

        children.append(Child(context.Process(target=run, daemon=True), log))
        children[-1].process.start()
        return children[-1]

    yield start
    for child in children:
        child.process.kill()
        child.process.join()


@pytest.fixture
def refuse(capsys: pytest.CaptureFixture[str]) -> Callable[[Sequence[str]], str]:
    """Runs a command that must fail: status 2, one line on stderr, which it returns."""

    def run(arguments: Sequence[str]) -> str:
        capsys.readouterr()
        assert main(list(arguments)) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1, lines
        assert lines[0].startswith(f"audioinv {arguments[0]}: ") and "Traceback" not in lines[0]
        return lines[0]

    return run
