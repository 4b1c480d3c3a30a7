"""The recipe of the notes: a method for each task's specialist, and the debug config whole."""

from __future__ import annotations

import csv
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("audioinv.audio", reason="the half of sounds was left out")

from audioinv.audio.io import write_wav
from audioinv.conf.compose import compose_config
from audioinv.runs.settings import own_settings

RECIPES = Path(__file__).parents[2] / "recipes"
SCRIPT = RECIPES / "gm_notes" / "ssl1" / "run.sh"


def test_every_method_composes_at_the_rate_of_its_kind() -> None:
    command = ["bash", SCRIPT, "--dry_run", "true", "--stage", "4", "--stop_stage", "4"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    words = [word for line in done.stdout.splitlines() for word in shlex.split(line)]
    methods = [word for word in words if word.startswith("method=")]
    conf = str(SCRIPT.parent / "conf")
    configs = [compose_config(["experiment=cpu_quick", method], conf) for method in methods]
    corners = {config.method: config.pretrain.corners for config in configs}
    assert corners["amortised"] == "space" and {"logmel", "random"} < set(corners)
    assert corners["simclr:-pitch_shift"] == "-pitch_shift"
    rates = {config.method: own_settings(config).lr for config in configs if config.trained}
    assert rates.pop("amortised") == 6e-3
    assert len(rates) == 4 and set(rates.values()) == {3e-3}


def write_notes(root: Path) -> Path:
    """Six instruments of two families, a sine and its own overtone, at six pitches."""
    columns = ("file", "family", "program", "note", "pitch_class", "velocity", "split")
    rows, time = [], np.arange(8000) / 8000
    for program in (0, 2, 4, 8, 10, 12):
        for note in range(60, 66):
            for velocity in (64, 110):
                name = f"p{program:03d}-n{note:03d}-v{velocity:03d}.wav"
                phase = 2 * np.pi * 440 * 2 ** ((note - 69) / 12) * time
                wave = np.sin(phase) + 0.5 * np.sin((program // 2 + 2) * phase)
                write_wav(root / "audio" / name, velocity / 400 * wave, 8000)
                split = ("train", "train", "train", "valid", "test")[(note + program // 2) % 5]
                family = ("piano", "chromatic_percussion")[program // 8]
                rows.append((name, family, program, note, note % 12, velocity, split))
    with open(root / "notes.csv", "w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return root


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_debug_config_runs_every_stage(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("exp", "packs", "data", "downloads")
    for name in ("TEMPLATE", "gm_notes"):
        shutil.copytree(RECIPES / name, tmp_path / "recipes" / name, ignore=ignored)
    command = [
        *("bash", tmp_path / "recipes" / "gm_notes" / "ssl1" / "run.sh", "--config", "debug"),
        *("--data_root", write_notes(tmp_path / "notes"), "--expdir", tmp_path / "exp"),
        *("--methods", "amortised logmel", "--skip_stages", "measure"),
        *("--audioinv", Path(sys.executable).with_name("audioinv")),
        *("--results", tmp_path / "RESULTS.md"),
    ]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    table = (tmp_path / "RESULTS.md").read_text()
    names = "program pitch_class velocity family_unseen_program pitch_class_unseen_program"
    assert all(f"| {name} (accuracy, %) |" in table for name in names.split())
    assert "Amortised, soft descriptor" in table
