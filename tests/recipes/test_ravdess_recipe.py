"""The recipe that docs/new_corpus.md walks through, whole, on a miniature of RAVDESS."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("audioinv.audio", reason="the half of sounds was left out")

from audioinv.audio.io import write_wav

RECIPES = Path(__file__).parents[2] / "recipes"


def miniature(root: Path) -> Path:
    """Every actor once in every emotion: a third of a second of noise at 16 kHz."""
    noise = np.random.default_rng(0)
    for actor in range(1, 25):
        for emotion in range(1, 9):
            name = f"Actor_{actor:02d}/03-01-{emotion:02d}-01-01-01-{actor:02d}.wav"
            write_wav(root / name, 0.1 * noise.standard_normal(5000), 16000)
    return root


@pytest.mark.slow
def test_the_debug_config_runs_every_stage(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("exp", "packs", "data", "downloads")
    for name in ("TEMPLATE", "ravdess"):
        shutil.copytree(RECIPES / name, tmp_path / "recipes" / name, ignore=ignored)
    command = [
        *("bash", tmp_path / "recipes" / "ravdess" / "ssl1" / "run.sh", "--config", "debug"),
        *("--data_root", miniature(tmp_path / "audio"), "--expdir", tmp_path / "exp"),
        *("--methods", "amortised", "--audioinv", Path(sys.executable).with_name("audioinv")),
        *("--results", tmp_path / "RESULTS.md"),
    ]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    table = (tmp_path / "RESULTS.md").read_text()
    assert "emotion (accuracy, %)" in table and "actor_unseen_emotion (accuracy, %)" in table
    assert "| *test clips* | 192 | 192 |" in table  # every clip is tested in one fold
