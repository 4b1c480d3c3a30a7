"""The demo recipe, whole, with its debug config on a handful of sounds."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.halves import of_sounds

RECIPES = Path(__file__).parents[2] / "recipes"


@of_sounds
@pytest.mark.slow
def test_the_debug_config_runs_every_stage_and_runs_again_at_once(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("exp", "packs", "data", "downloads")
    shutil.copytree(RECIPES, tmp_path / "recipes", ignore=ignored)
    command = [
        *("bash", tmp_path / "recipes" / "demo" / "ssl1" / "run.sh", "--config", "debug"),
        *("--methods", "amortised logmel", "--measured", "amortised", "--seeds", "3"),
        *("--prepare_opts", "--sample_rate 8000 --n_train 96 --n_valid 96 --n_test 48"),
        *("--audioinv", Path(sys.executable).with_name("audioinv")),
        *("--expdir", tmp_path / "exp", "--results", tmp_path / "RESULTS.md"),
    ]
    first = subprocess.run(command, capture_output=True, text=True)
    assert first.returncode == 0, first.stderr
    page = (tmp_path / "exp" / "report.html").read_text()
    assert "Amortised, soft descriptor" in page and "data:audio/wav" in page
    table = (tmp_path / "RESULTS.md").read_text()
    assert "| Amortised, all on |" in table and "seeds 3" in table
    weights = tmp_path / "exp" / "amortised_s3" / "encoder" / "encoder.safetensors"
    written = weights.stat().st_mtime_ns
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("already done") >= 4
    assert weights.stat().st_mtime_ns == written
