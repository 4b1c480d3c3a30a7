"""How times grow with K, batch, clip, bases, and the rows of a manifest or pack."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from audioinv.audio.clips import RandomCrops
from audioinv.audio.io import write_wav
from audioinv.audio.media import Sounds
from audioinv.base.randomness import generator
from audioinv.data.manifest import (
    Corpus,
    read_manifest,
    stratified_validation,
    write_manifest,
)
from audioinv.data.pack import Pack, _Clips, build_pack, open_pack
from audioinv.data.rows import sample_rows, training_rows
from audioinv.data.task import Task
from audioinv.data.validate import validate
from audioinv.tasks.folds import folds
from benchmarks.conditioning import K, encoder_of, maps_of, training_step
from benchmarks.measure import Comparison, Ratio, Setup

ROWS = (1_000, 10_000, 100_000, 1_000_000)
TASK = Task("label", "label")
CORPUS = Corpus("made", "Made", "here", "CC0-1.0", "", 16000, (TASK,))


def step_growth(setup: Setup) -> Iterator[Comparison]:
    """A training step (forward, backward, AdamW) of a ResNet-18 of an eighth of the width with
    full bases, each time with one size doubled; the ratios say how the time grows.
    """
    base: dict[str, Any] = {"components": K, "bases": 8, "batch": 32, "seconds": 1.0}
    changes: dict[str, list[float]] = {"components": [4, 8, 16, 32, 64], "bases": [8, 16, 32]}
    changes |= {"batch": [32, 64, 128], "seconds": [1, 2, 4]}
    for name, values in changes.items():
        steps = {f"{name} {v:g}": _step(setup, **{**base, name: v}) for v in values}
        yield Comparison(f"step against {name}", {}, steps, _doublings(list(steps)))


def _step(
    setup: Setup, components: float, bases: float, batch: float, seconds: float
) -> Callable[[], object]:
    x = maps_of(setup, seconds, int(batch))
    network = {"name": "resnet18", "width": 0.125}
    options = {"name": "hyper", "bases": int(bases)}
    encoder = encoder_of(setup, options, network, tuple(x.shape[1:]), int(components))
    return training_step(encoder, x, torch.ones(int(components), device=setup.device))


def _doublings(names: list[str]) -> list[Ratio]:
    return [Ratio(b, a) for a, b in pairwise(names)]


def rows_growth(setup: Setup) -> Iterator[Comparison]:
    """Manifests and packs of ten times as many rows each: reading (CSV), checking the table as
    `audioinv validate --no_audio` does, splitting off a validation part, the folds of a task, and
    drawing 100 training batches of 64. Linear growth is 10.
    """
    sizes = (20, 40) if setup.miniature else ROWS
    with tempfile.TemporaryDirectory() as name:
        made = {n: _Made(Path(name) / str(n), n) for n in sizes}
        for what in ("read", "check", "split", "fold", "sample"):
            runs = {f"{n:,} rows": getattr(made[n], what) for n in sizes}
            ratios = [Ratio(b, a, most=12) for a, b in pairwise(runs)]
            yield Comparison(what, {}, runs, ratios)


def packs_growth(setup: Setup) -> Iterator[Comparison]:
    """Packs of ten times as many clips each, of 10 ms, from sound files that hold 1,000 of them:
    building one in this process, asking for one that is there already, and opening it. Linear
    growth is 10.
    """
    sizes = (20, 40) if setup.miniature else ROWS[:3]
    with tempfile.TemporaryDirectory() as name, redirect_stderr(StringIO()):
        made = {n: _Sounding(Path(name) / str(n), n) for n in sizes}
        for what in ("build", "build again", "open"):
            runs = {f"{n:,} clips": getattr(made[n], what.replace(" ", "_")) for n in sizes}
            ratios = [Ratio(b, a, most=12) for a, b in pairwise(runs)]
            yield Comparison(what, {}, runs, ratios)


class _Sounding:
    """A manifest of `n` clips of 10 ms in a row, in files of 10 s, and folders to pack them to."""

    def __init__(self, folder: Path, n: int) -> None:
        folder.mkdir()
        row = np.arange(n)
        for k in range(-(-n // 1000)):
            write_wav(folder / f"{k}.wav", np.full(160_000, 0.1), 16000)
        cut: dict[str, Any] = {"path": [f"{k // 1000}.wav" for k in row], "start": row % 1000 / 100}
        self.folder, self.runs = folder, 0
        self.manifest = read_manifest(
            write_manifest(folder, frame_of(n).assign(**cut, duration=0.01), CORPUS)
        )

    def build(self) -> object:
        self.runs += 1
        return build_pack(self.manifest, self.folder / str(self.runs), Sounds(16000))

    def build_again(self) -> object:
        return build_pack(self.manifest, self.folder / "1", Sounds(16000))

    def open(self) -> object:
        return open_pack(self.folder / "1")


class _Made:
    """A manifest of `n` clips that are not there, and a pack of them, of 10 ms each."""

    def __init__(self, folder: Path, n: int) -> None:
        self.frame = frame_of(n)
        self.path = write_manifest(folder, self.frame, CORPUS)
        self.manifest = read_manifest(self.path, strict=False)
        offsets = np.arange(n + 1) * 160
        clips = _Clips(np.zeros(n * 160, np.int16), offsets)
        packed = self.frame.assign(n_samples=160)
        self.pack = Pack(folder, packed, 16000, CORPUS, "", {}, _shards=[clips], _starts=[0])

    def read(self) -> object:
        return read_manifest(self.path, strict=False)

    def check(self) -> object:
        return validate(self.manifest, files=False)

    def split(self) -> object:
        return stratified_validation(self.frame, "label", 0.1, 0)

    def fold(self) -> object:
        return list(folds(self.pack, TASK, None))

    def sample(self) -> object:
        clips = RandomCrops(self.pack, training_rows(self.pack), 160)
        order = sample_rows(range(len(clips)), 6400, 0, "benchmark")
        batches = torch.tensor(order).split(64)
        return [clips.batch(rows, generator(0, "crops", k)) for k, rows in enumerate(batches)]


def frame_of(n: int) -> pd.DataFrame:
    """Rows of a manifest: 50 labels, 2,000 speakers; a tenth is test."""
    draw, row = np.random.default_rng(0), np.arange(n)
    return pd.DataFrame(
        {
            "id": [f"clip{k:07d}" for k in row],
            "path": [f"{k % 1000:03d}/clip{k:07d}.wav" for k in row],
            "start": 0.0,
            "duration": draw.uniform(1, 5, n).round(3),
            "sample_rate": 16000,
            "split": np.where(row % 10 == 0, "test", np.where(row % 10 == 1, "valid", "train")),
            "label": [f"label{k}" for k in draw.integers(0, 50, n)],
            "speaker": [f"speaker{k}" for k in draw.integers(0, 2000, n)],
        }
    )
