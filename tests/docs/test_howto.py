"""The shell and the Python of the how-to pages run, in the order in which they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("audioinv.audio", reason="the half of sounds was left out")

import soundfile

from audioinv.data.pack import open_pack

REPOSITORY = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", re.DOTALL | re.M)
RATE = 8000


def tone(hertz: float, seconds: float, seed: int) -> np.ndarray:
    time = np.arange(int(RATE * seconds)) / RATE
    noise = np.random.default_rng(seed).standard_normal(len(time))
    return 0.3 * np.sin(2 * np.pi * hertz * time) + 0.02 * noise


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the pages take for given: sounds, a table of calls, and a run with an adapted task."""
    root = tmp_path_factory.mktemp("howto")
    rows = ["path,start,end,label,distance,tags,site"]
    (root / "calls").mkdir()
    for number in range(40):
        label, site = ("wren", "owl")[number % 2], ("north", "south", "east")[number % 3]
        sound = tone(300 * (1 + number % 2), 1.2, number)
        folder = root / "my_audio" / label
        folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / f"{number}.wav", sound, RATE)
        soundfile.write(root / "calls" / f"{number}.wav", sound, RATE)
        split = "wind;rain" if number % 4 else "wind"
        rows.append(f"{number}.wav,0.1,1.1,{label},{number / 2},{split},{site}")
    (root / "calls" / "calls.csv").write_text("\n".join(rows) + "\n")
    soundfile.write(root / "long.wav", tone(440, 12, 0), RATE)
    run(
        root,
        "audioinv prepare folder --root my_audio --out data/mine && "
        "audioinv pack data/mine/manifest.csv --out packs/mine --sample_rate 8000 && "
        "audioinv pretrain pack=packs/mine run=exp/mine/amortised_s0 frontend.sample_rate=8000 "
        "frontend.clip_s=1.0 backbone=resnet10_narrow backbone.width=0.125 pretrain.steps=2 "
        "pretrain.batch_size=8 'bank.names=[fade,time_shift]' && "
        "audioinv adapt pack=packs/mine run=exp/mine/amortised_s0 'adapt.modes=[soft]'",
    )
    return root


def run(where: Path, command: str, *, shell: str = "bash") -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    here = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "PATH": path}
    words = ["bash", "-euc", command] if shell == "bash" else [sys.executable, "-c", command]
    done = subprocess.run(words, cwd=where, env=here, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def follow(page: str, where: Path) -> str:
    """Runs a page's blocks; Python goes on from block to block. What was printed."""
    told, python = [], ""
    for language, block in BLOCK.findall((REPOSITORY / "docs" / page).read_text("utf-8")):
        if language == "sh":
            told.append(run(where, block))
        else:
            python += block
            told.append(run(where, python, shell="python"))
    assert told, "the page shows nothing to run"
    return "".join(told)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_own_labels(world: Path) -> None:
    follow("own_labels.md", world)
    tasks = {task.name: task.kind for task in open_pack(world / "packs/calls").corpus.tasks}
    assert tasks["distance"] == "regression" and tasks["tags"] == "multilabel"
    learnt = {path.name for path in (world / "exp/mine/amortised_s0/tasks").iterdir()}
    assert {"species", "species_new_site", "distance", "tags"} <= learnt


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_long_recordings(world: Path) -> None:
    told = follow("long_recordings.md", world)
    assert "wren" in told or "owl" in told
    assert len(open_pack(world / "packs/stretches")) == 3, "12 s in rows of 5 s"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_own_augmentation(world: Path) -> None:
    assert "('pitch_shift', 'clip_peaks')" in follow("own_augmentation.md", world)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_own_network(world: Path) -> None:
    assert "torch.Size([2, 32])" in follow("own_network.md", world)
    assert (world / "exp/own_network/encoder/encoder.json").exists()


def test_concepts(tmp_path: Path) -> None:
    assert follow("concepts.md", tmp_path).startswith("3 7\n")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_front_page(world: Path) -> None:
    (world / "recordings").mkdir()
    soundfile.write(world / "recordings" / "a.wav", tone(300, 1, 0), RATE)
    code = BLOCK.findall((REPOSITORY / "docs" / "index.md").read_text("utf-8"))[0][1]
    run(world, "audioinv pack data/mine/manifest.csv --out packs/mine_16k --sample_rate 16000")
    said = run(world, code.replace("packs/mine", "packs/mine_16k"), shell="python")
    assert "'pitch_shift': " in said


def test_guessing_costs_what_the_questions_say() -> None:
    """The loss of NT-Xent on views that are all alike."""
    import torch

    from audioinv.core.objectives import nt_xent

    text = (REPOSITORY / "docs" / "faq.md").read_text("utf-8")
    sizes, losses = (
        [float(cell) for cell in re.findall(r"\| ([\d.]+)", line)]
        for line in re.findall(r"^\| (?:clips in a batch|loss of guessing) .*", text, re.M)
    )
    for size, loss in zip(sizes, losses, strict=True):
        same = torch.ones(int(size), 4)
        assert float(nt_xent(same, same, 0.2)) == pytest.approx(loss, abs=0.005)
