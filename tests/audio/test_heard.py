"""Channels that cancel one another, and silence: neither becomes features without a word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from audioinv.audio import io
from audioinv.audio.corpora.folder import prepare
from audioinv.audio.media import Sounds
from audioinv.base.errors import FileError
from audioinv.cli import main
from audioinv.data.manifest import Corpus, Manifest, read_manifest
from audioinv.data.pack import build_pack
from audioinv.data.validate import validate

RATE = 8000
NOISE = 0.1 * np.random.default_rng(0).standard_normal(RATE)


def corpus(root: Path, **clips: np.ndarray) -> Manifest:
    """Clips in the root, in test and train by turns."""
    root.mkdir(parents=True, exist_ok=True)
    for name, samples in clips.items():
        soundfile.write(root / f"{name}.wav", samples, RATE, subtype="FLOAT")
    rows = {
        "id": list(clips), "path": [f"{name}.wav" for name in clips], "start": 0.0,
        "duration": [len(samples) / RATE for samples in clips.values()], "sample_rate": RATE,
        "split": (["train", "test"] * len(clips))[: len(clips)],
    }  # fmt: skip
    return Manifest(pd.DataFrame(rows), Corpus("c", "C", "here", "CC0", ".", RATE), root)


@pytest.mark.parametrize("rest", [0.0, 1e-3])
def test_channels_that_cancel_are_refused_and_found(tmp_path: Path, rest: float) -> None:
    wrong = np.stack([NOISE, (rest - 1) * NOISE], 1)
    rows = corpus(tmp_path, wrong=wrong, right=np.stack([NOISE, 0.5 * NOISE], 1), mono=NOISE)
    (problem,) = validate(rows)
    assert (problem.id, problem.kind) == ("wrong", "cancelled")
    assert "ffmpeg" in problem.message
    with pytest.raises(FileError, match=r"wrong\.wav.*cancel one another"):
        io.read_mono(tmp_path / "wrong.wav", RATE // 2)
    pack = build_pack(rows, tmp_path / "pack", Sounds(RATE), on_error="skip")
    assert list(pack.skipped) == ["wrong"]


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_silence_is_told_as_that_and_is_no_leakage(tmp_path: Path, value: float) -> None:
    silent = np.full(RATE, value)
    rows = corpus(tmp_path, one=silent, other=silent, a=NOISE, b=2 * NOISE)
    found = {problem.id: problem.kind for problem in validate(rows)}
    assert found == {"one": "silent", "other": "silent"}


def test_silence_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus(tmp_path / "sounds", a=NOISE, b=np.zeros(RATE))
    manifest = prepare(tmp_path / "sounds", tmp_path / "data")
    assert main(["validate", str(manifest)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("warning: silent: b.wav") for line in lines)
    assert lines[-1] == "2 clips, 0 problems"


def test_samples_without_a_header_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(bytes(4000))
    rows = corpus(tmp_path, a=NOISE)
    (problem,) = validate(Manifest(rows.frame.assign(path="a.raw"), rows.corpus, tmp_path))
    assert (problem.kind, "without a header" in problem.message) == ("unreadable", True)


def test_validate_may_leave_unreadable_files_to_pack(tmp_path: Path) -> None:
    corpus(tmp_path / "sounds", a=NOISE, b=2 * NOISE)
    manifest = prepare(tmp_path / "sounds", tmp_path / "data")
    (tmp_path / "sounds" / "a.wav").write_text("no sound")
    assert main(["validate", str(manifest)]) == 1
    assert main(["validate", str(manifest), "--on_error", "skip"]) == 0
    pack = build_pack(read_manifest(manifest), tmp_path / "p", Sounds(RATE), on_error="skip")
    assert len(pack) == 1
