"""The recipe of the conflict between pitch and sound events."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from audioinv.data.modality import registered
from audioinv.report.compare import published
from tests.halves import of_sounds
from tests.recipes.recipes import RECIPES, after

FOLDER = RECIPES / "conflict" / "ssl1"
STUB = '#!/bin/sh\n[ "$1" = compare ] && echo 8000 16000\n'


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    stub = folder / "audioinv"
    stub.write_text(STUB)
    stub.chmod(0o755)
    for name in ("gm_notes", "esc10", "else"):
        (folder / "audio" / name).mkdir(parents=True, exist_ok=True)
    given = ["--encoder", "notes-and-noises", "--data_root", "audio", "--audioinv", "./audioinv"]
    command = ["bash", str(FOLDER / "run.sh"), *given, "--dry_run", "true", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def commands(folder: Path, *options: str) -> list[list[str]]:
    done = run(folder, *options)
    assert done.returncode == 0, done.stderr
    return [shlex.split(line)[1:] for line in done.stdout.splitlines()[2:]]


def test_each_corpus_is_packed_at_each_rate_and_all_are_compared(tmp_path: Path) -> None:
    lines = commands(tmp_path)
    assert [words[:2] for words in lines if words[0] == "prepare"] == [
        ["prepare", "gm_notes"],
        ["prepare", "esc50"],
    ]
    packs = [after(words, "--out") for words in lines if words[0] == "pack"]
    assert packs == [f"packs/{n}_{rate}" for n in ("gm_notes", "esc10") for rate in (8000, 16000)]
    last = lines[-1]
    assert last[0] == "compare" and last[last.index("--packs") + 1 :][: len(packs)] == packs
    assert last[last.index("--tasks") + 1 :][:3] == [
        "gm_notes:program",
        "gm_notes:pitch_class",
        "esc10:category",
    ]
    assert after(last, "--encoder") == "notes-and-noises"
    assert len(published(FOLDER / after(last, "--published"))) == 6


def test_options_reach_the_comparison(tmp_path: Path) -> None:
    last = commands(tmp_path, "--rivals", "random", "--labels", "4", "--draws", "3")[-1]
    assert last[last.index("--rivals") : last.index("--packs")] == ["--rivals", "random"]
    assert (after(last, "--labels"), after(last, "--draws")) == ("4", "3")
    assert "--draws '3'" in after(last, "--made_by")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--corpora", "gm_note"], "there is no 'gm_note'"),
        (["--corpora", "nsynth"], "holds none of the folders nsynth"),
        (["--draws", "1"], "2 or more"),
        (["--data_root", "nowhere"], "is not a folder"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, options: list[str], told: str) -> None:
    done = run(tmp_path, *options)
    assert done.returncode == 2 and told in done.stderr


@of_sounds
def test_the_corpora_and_tasks_are_known() -> None:
    known = registered("audio").corpora()
    lines = [line for line in (FOLDER / "corpora.txt").read_text().splitlines() if line[0] != "#"]
    for _, prepare, tasks in (line.split("|") for line in lines):
        names = {task.name for task in known[prepare.split()[0]].TASKS}
        assert set(tasks.split()) <= names


def test_help_teaches(tmp_path: Path) -> None:
    text = run(tmp_path, "--help").stdout
    assert "--rivals" in text and "audioinv[rivals]" in text and "[last depth]" in text
