"""The Python of the README, of docs/overview.md and of the public names' docstrings runs."""

from __future__ import annotations

import inspect
import re
import shutil
import socket
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("audioinv.audio", reason="the half of sounds was left out")

import soundfile
import torch

import audioinv as ai
from audioinv.audio.media import Sounds
from audioinv.data.manifest import Corpus, read_manifest, write_manifest
from audioinv.data.pack import build_pack
from audioinv.data.task import Task
from audioinv.tasks.finetune import Finetuned
from audioinv.tasks.tuned import save_finetuned

REPOSITORY = Path(__file__).parents[1]
RATE, SECONDS, CLIPS = 8000, 0.6, 140
BLOCK = re.compile(r"```python\n(.*?)```", re.S)
EXPLAINED = [name for name in ai.__all__ if name not in ("Result", "Shown", "__version__")]
# Fewer steps and components: what is left is to the letter.
SHORTER = {
    "steps=600": "steps=2",
    "bank(sample_rate=8000": 'bank(sample_rate=8000, names=["pitch_shift", "white_noise"]',
}


def example(name: str) -> str:
    """The lines of a public name's docstring that are set in as an example."""
    told = inspect.cleandoc(getattr(ai, name).__doc__ or "")
    lines = re.split(r"\n(?:Args|Raises|Attributes):", told)[0].splitlines()
    return textwrap.dedent("\n".join(line for line in lines if line.startswith("    ") or not line))


def snippet(page: str, number: int = 0) -> str:
    """A block of Python on a page."""
    return BLOCK.findall((REPOSITORY / page).read_text(encoding="utf-8"))[number]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with packs/fsdd: tones in the place of digits, of three speakers."""
    random, rows = np.random.default_rng(0), []
    (tmp_path / "audio").mkdir()
    for number in range(CLIPS):
        digit, speaker = number % 4, number % 3
        time = np.arange(int(RATE * SECONDS)) / RATE
        sound = 0.3 * np.sin(2 * np.pi * 300 * 2**digit * (1 + 0.1 * speaker) * time)
        sound += 0.02 * random.standard_normal(len(time))
        soundfile.write(tmp_path / "audio" / f"{number}.wav", sound, RATE)
        split = ("train", "train", "valid", "test")[number % 4 if number > 130 else 0]
        rows.append([str(number), f"{number}.wav", 0.0, SECONDS, RATE, split, digit, speaker])
    names = ["id", "path", "start", "duration", "sample_rate", "split", "digit", "speaker"]
    tasks = (Task("digit_unseen_speaker", "digit", groups="speaker"),)
    corpus = Corpus("fsdd", "Tones", "made here", "CC0-1.0", str(tmp_path / "audio"), RATE, tasks)
    manifest = write_manifest(tmp_path / "data", pd.DataFrame(rows, columns=names), corpus)
    build_pack(read_manifest(manifest), tmp_path / "packs" / "fsdd", Sounds(RATE))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_first_lines_of_the_readme_run_and_ask_no_network(
    world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (world / "audio").rename(world / "recordings")
    shutil.copy(world / "recordings" / "7.wav", world / "sound.wav")
    monkeypatch.setattr(socket.socket, "connect", None)
    names: dict[str, Any] = {}
    exec(compile(snippet("README.md"), "README.md", "exec"), names)
    assert names["free"].shape == names["keyed"].shape == (1, names["encoder"].dim)
    assert not torch.allclose(names["free"], names["keyed"], atol=0.01)
    found = names["index"].similar("sound.wav", k=10)
    assert (len(found), found["path"][0]) == (10, "7.wav")
    assert capsys.readouterr().out.count("7.wav") >= 2


def test_the_snippet_of_the_readme_runs(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = snippet("README.md", 1)
    for long, short in SHORTER.items():
        assert long in code
        code = code.replace(long, short)
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert set(names["digit"].descriptor) == {"pitch_shift", "white_noise"}
    assert "(" in capsys.readouterr().out, "the interval was printed"
    loaded = snippet("docs/overview.md").replace(
        "exp/mine/amortised_s0/encoder", "exp/fsdd/encoder"
    )
    exec(compile(loaded.replace("16000", "4096"), "overview.md", "exec"), names)
    exec(compile(snippet("docs/overview.md", 1), "overview.md", "exec"), names)
    assert len(names["digit"].info["depth"]) > 2
    assert names["features"].shape == (8, names["enc"].dim)
    names["digit"].save("exp/fsdd/tasks/digit/soft")
    tuned = Finetuned(names["enc"].trainable().backbone, names["enc"].dim, 4)
    where = world / "exp/fsdd/tasks/digit/soft/finetune"
    save_finetuned(where, names["enc"], [tuned], "classification", list("abcd"))
    names |= {"torch": torch, "encoder": names["enc"], "x": torch.randn(24, 4096)}
    names["y"] = torch.arange(24) % 3
    for name in EXPLAINED:
        for long, short in {'"exp/mine"': '"exp/own"', '"exp/fsdd"': '"exp/again"'}.items():
            names |= {"code": example(name).replace(long, short).replace("steps=600", "steps=2")}
        print(name)
        exec(compile(names["code"], f"docstring of {name}", "exec"), dict(names))


def test_every_public_name_shows_how_it_is_used() -> None:
    assert [name for name in EXPLAINED if not example(name).strip()] == []
