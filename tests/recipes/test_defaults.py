"""The comparison of settings over recipes: its commands, and its table of mean ranks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

DEFAULTS = Path(__file__).parents[2] / "recipes" / "defaults"
VALUES = {  # set, setting -> task -> the value of each seed
    ("tones", "one"): {"pitch": (0.5, 0.6), "level": (0.9, 0.9)},
    ("tones", "two"): {"pitch": (0.7, 0.5), "level": (0.9, 0.8)},
    ("words", "one"): {"word": (0.3, 0.3)},
    ("words", "two"): {"word": (0.2, 0.4)},
}


def write(folder: Path) -> None:
    for (of, setting), tasks in VALUES.items():
        for task, values in tasks.items():
            for seed, value in enumerate(values):
                run = folder / of / setting / f"amortised_s{seed}"
                told = {"task": task, "kind": "classification", "metric": "accuracy", "seed": seed}
                told |= {"protocol": "linear-v1", "method": "amortised", "mode": "soft"}
                told |= {"label": "amortised", "value": value}
                path = run / "tasks" / task / "soft" / "linear" / "result.json"
                path.parent.mkdir(parents=True)
                path.write_text(json.dumps(told))
                (run / "config.yaml").write_text(f"method: amortised\nseed: {seed}\n")


def ranks(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(DEFAULTS / "ranks.py"), *words]
    return subprocess.run(command, capture_output=True, text=True)


def test_ranks_are_means_over_tasks_and_seeds_and_ties_are_shared(tmp_path: Path) -> None:
    write(tmp_path)
    done = ranks(str(tmp_path), "--results", str(tmp_path / "ranks.md"))
    assert done.returncode == 0, done.stderr
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if "±" in line]
    assert [row[:2] for row in rows] == [["one", "1.42"], ["two", "1.58"]]
    assert rows[0][2:] == ["90.0 ± 0.0", "55.0 ± 5.0", "30.0 ± 0.0"]
    assert (tmp_path / "ranks.md").read_text().strip() == done.stdout.strip()


def test_nothing_to_compare_is_an_error(tmp_path: Path) -> None:
    done = ranks(str(tmp_path))
    assert done.returncode == 2 and str(tmp_path) in done.stderr


@pytest.fixture
def driver(tmp_path: Path) -> list[str]:
    """The driver with a command that knows the sizes of packs and no more."""
    fake = tmp_path / "audioinv"
    fake.write_text("#!/bin/sh\nprintf 'audio\\tsample_rate\\nimage\\timage_size\\n'\n")
    fake.chmod(0o755)
    return ["bash", str(DEFAULTS / "run.sh"), "--dry_run", "true", "--audioinv", str(fake)]


def test_every_setting_meets_every_set_on_validation_clips_alone(
    driver: list[str], tmp_path: Path
) -> None:
    words = ["--sets", "gm_notes demo", "--data", "/data", "--expdir", str(tmp_path / "exp")]
    done = subprocess.run([*driver, *words, "--seeds", "0 1"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    names = [
        line.partition(":")[0]
        for line in (DEFAULTS / "settings.txt").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    adapted = [line for line in lines if " adapt " in line]
    assert len(adapted) == 2 * len(names) * 2 and all("score_on=valid" in x for x in adapted)
    for of in ("gm_notes", "demo"):
        for name in names:
            assert sum(f"/{of}/{name}/amortised_s1" in line for line in adapted) == 1
    assert any("--root /data/gm_notes" in line for line in lines)


@pytest.mark.parametrize("words", [["--sets", "moon"], ["--settings", "moon"], ["--seeds", ""]])
def test_what_there_is_not_is_refused(driver: list[str], words: list[str]) -> None:
    done = subprocess.run([*driver, *words], capture_output=True, text=True)
    assert done.returncode == 2 and words[0].strip("-") in done.stderr
