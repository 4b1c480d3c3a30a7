"""Rhythms: made by code, a rhythm that all channels share, strongest at one of them."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from audioinv.data.download import Download
from audioinv.data.later import pandas as pd
from audioinv.data.manifest import Corpus, write_manifest
from audioinv.data.task import Task
from tests.modality_series.recordings import CHANNELS

NAME = "rhythms"
TITLE = "Rhythms of four channels"
LICENCE = "none needed"
SOURCE = "made by this file"
DESCRIPTION = "three rhythms, each strongest at one of four channels"
ACCESS = "made by 'audioinv prepare'"
RATE, SECONDS = 128, 3
HZ = (4.0, 9.0, 17.0)
TASKS = (
    Task("rhythm", "rhythm"),
    Task("site", "site"),
    Task("moved", "shift", "regression", augmentation="delay"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--n", type=int, default=5, help="recordings a class and site (default 5)")


def downloads() -> tuple[Download, ...]:
    return ()


def prepare(root: str | Path, out: str | Path, seed: int = 0, n: int = 5) -> Path:
    """Makes the files under `root` and their manifest in `out`; returns its path."""
    root, random, rows = Path(root), np.random.default_rng(seed), []
    root.mkdir(parents=True, exist_ok=True)
    time = np.arange(RATE * SECONDS) / RATE
    for number in range(n * len(HZ) * CHANNELS):
        rhythm, site = number % len(HZ), number // len(HZ) % CHANNELS
        strength = np.where(np.arange(CHANNELS) == site, 1.0, 0.3)[:, None]
        wave = np.sin(2 * np.pi * HZ[rhythm] * time + random.uniform(0, 2 * np.pi))
        noise = 0.2 * random.standard_normal((CHANNELS, len(time)))
        np.save(root / f"{number:03d}.npy", (strength * wave + noise).astype(np.float32))
        split = ("train", "train", "train", "valid", "test")[number // 12 % 5]
        rows.append((f"{number:03d}", f"{number:03d}.npy", RATE, split, rhythm, site))
    columns = ["id", "path", "rate", "split", "rhythm", "site"]
    corpus = Corpus(NAME, TITLE, SOURCE, LICENCE, str(root.resolve()), 0, TASKS, "series")
    return write_manifest(out, pd.DataFrame(rows, columns=columns), corpus)
