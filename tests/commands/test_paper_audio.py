"""The audio protocol: its three channels through every command, its votes over segments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from audioinv import load_encoder
from audioinv.cli import main
from audioinv.commands.judging import features_of
from audioinv.conf.compose import compose_config
from audioinv.tasks.episodes import Windows
from audioinv.tasks.folds import find_tasks

pytestmark = pytest.mark.slow

RATE, CLASSES = 16000, 3
PAPER = "experiment=paper_simclr_audio"
EPISODES = ["fewshot.n_way=3", "fewshot.n_tasks=400", "fewshot.class_split=[0,0,1]"]
NARROW = ["backbone=resnet10_narrow", "backbone.width=0.125", "conditioning.bases=2"]


@pytest.mark.parametrize("method", ["amortised", "mt_slvr"])
def test_its_channels_go_through_every_command(packed: Any, tmp_path: Path, method: str) -> None:
    run = tmp_path / f"{method}_s0"
    statistics = f"statistics={tmp_path / 'statistics.json'}"
    settings = [PAPER, f"method={method}", *packed.settings(run), statistics, "tasks=[label]"]
    modes = "adapt.modes=[fixed:all,paper]"
    for command in ("statistics", "pretrain", "adapt", "evaluate", "measure"):
        assert main([command, *settings, modes]) == 0, command
    table = ["--out", str(tmp_path / "features.parquet"), "features.hop_s=0"]
    assert main(["embed", *settings, *table]) == 0
    encoder = load_encoder(run / "encoder")
    assert encoder.frontend.output_size == (3, 24, 16)
    assert encoder.backbone.trunk.conv1[0].in_channels == 3
    assert len(json.loads((tmp_path / "statistics.json").read_text())["mean"]) == 3


def write_long_clips(root: Path) -> None:
    """Clips of 15 s, of which the first 5 s are the same noise for every class."""
    random = np.random.default_rng(0)
    time = np.arange(5 * RATE) / RATE
    for label in range(CLASSES):
        for number in range(6):
            split = "train" if number < 2 else "test"
            tone = 0.3 * np.sin(2 * np.pi * 300 * 2**label * random.uniform(0.97, 1.03) * time)
            parts = [np.zeros_like(time), tone, tone]
            samples = np.concatenate(parts) + 0.03 * random.standard_normal(15 * RATE)
            path = root / split / f"tone{label}" / f"{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, samples, RATE)


@pytest.fixture(scope="module")
def long_clips(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Overrides that name a pack of them and a run of an encoder as it was initialised."""
    folder = tmp_path_factory.mktemp("long")
    write_long_clips(folder / "audio")
    manifest = str(folder / "data" / "manifest.csv")
    made = ["--out", str(folder / "data")]
    assert main(["prepare", "folder", "--root", str(folder / "audio"), *made]) == 0
    rate = ["--sample_rate", str(RATE), "--nj", "1"]
    assert main(["pack", manifest, "--out", str(folder / "pack"), *rate]) == 0
    settings = [PAPER, "method=random", *NARROW, f"pack={folder / 'pack'}", "accelerator=cpu"]
    settings += [f"run={folder / 'random_s0'}", "pretrain.calibration_clips=0", "tasks=[label]"]
    assert main(["pretrain", *settings]) == 0
    return settings


def accuracy(settings: list[str], out: Path) -> float:
    words = [*settings, *EPISODES, "fewshot.readouts=[centroid]", f"out={out}"]
    assert main(["evaluate", "protocol=fewshot", *words]) == 0
    (result,) = out.glob("tasks/**/result.json")
    return float(json.loads(result.read_text())["value"])


def test_all_segments_of_a_long_clip_vote(long_clips: list[str], tmp_path: Path) -> None:
    config = compose_config(long_clips)
    features = features_of(config)
    cache, _ = features.of(find_tasks(features.pack, ["label"])[0])
    windows = Windows.of(cache.windows(features.bank.space.all_on()), cache.owner)
    assert torch.equal(windows.count, torch.full((6 * CLASSES,), 3)), "15 s, every 5 s"
    voted = accuracy(long_clips, tmp_path / "voted")
    first = accuracy([*long_clips, "features.hop_s=0"], tmp_path / "first")
    assert first < 0.45 < 0.55 < voted, "the first segment tells nothing"
