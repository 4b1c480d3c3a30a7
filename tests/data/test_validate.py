"""Validation reads the audio and reports every problem in one run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("audioinv.audio", reason="the half of sounds was left out")

import soundfile

from audioinv.audio.io import write_wav
from audioinv.data.manifest import Corpus, Manifest, read_manifest
from audioinv.data.validate import validate

RATE = 8000
CORPUS = Corpus("tiny", "Tiny", "made here", "CC0-1.0", ".", RATE)


def write_clip(path: Path, seed: int) -> None:
    write_wav(path, 0.1 * np.random.default_rng(seed).standard_normal(RATE), RATE)


def manifest(root: Path, n: int = 12) -> Manifest:
    """`n` good clips of one second, half of them in train."""
    names = [f"{i}.wav" for i in range(n)]
    for seed, name in enumerate(names):
        write_clip(root / name, seed)
    frame = pd.DataFrame(
        {
            "id": [f"clip{i}" for i in range(n)],
            "path": names,
            "start": 0.0,
            "duration": 1.0,
            "sample_rate": RATE,
            "split": ["train", "test"] * (n // 2),
        }
    )
    return Manifest(frame, CORPUS, root)


def damage(tiny: Manifest) -> dict[str, str]:
    """Spoils the files and rows of clips 0 to 9; returns id -> the kind of problem."""
    root, frame = tiny.root, tiny.frame
    (root / "0.wav").unlink()
    (root / "1.wav").write_text("this is no audio" * 100)
    soundfile.write(root / "2.wav", np.zeros(0), RATE)
    whole = (root / "3.wav").read_bytes()
    (root / "3.wav").write_bytes(whole[: len(whole) // 2])
    soundfile.write(root / "4.wav", np.array([0.0, np.inf] * 4000), RATE, subtype="FLOAT")
    frame.loc[5, "sample_rate"] = 16000
    frame.loc[6, "duration"] = 1.5
    frame.loc[7, "path"] = "../outside.wav"
    (root / "link.wav").symlink_to(root.parent / "outside.wav")
    frame.loc[8, "path"] = "link.wav"
    write_clip(root.parent / "outside.wav", 99)
    (root / "9.wav").write_bytes((root / "10.wav").read_bytes())  # 9 is in test, 10 in train
    kinds = ["missing", "unreadable", "empty", "truncated", "non-finite", "sample_rate", "length"]
    expected = {f"clip{i}": kind for i, kind in enumerate([*kinds, "path", "path"])}
    return {**expected, "clip10": "leakage"}


@pytest.mark.parametrize("workers", [1, 2])
def test_every_problem_is_reported_in_one_run(tmp_path: Path, workers: int) -> None:
    (tmp_path / "root").mkdir()
    tiny = manifest(tmp_path / "root", n=20)  # more than one chunk: the second worker gets some
    expected = damage(tiny)
    problems = validate(tiny, workers)
    assert {problem.id: problem.kind for problem in problems} == expected
    assert len(problems) == len(expected)
    assert all(problem.path in problem.message for problem in problems)


def test_good_audio_has_no_problems(tmp_path: Path) -> None:
    assert validate(manifest(tmp_path)) == []


def test_the_same_audio_within_one_split_is_no_leak(tmp_path: Path) -> None:
    tiny = manifest(tmp_path)
    (tmp_path / "2.wav").write_bytes((tmp_path / "0.wav").read_bytes())
    assert validate(tiny) == []


def test_leakage_is_found_in_another_format_and_between_folds(tmp_path: Path) -> None:
    tiny = manifest(tmp_path)
    samples, _ = soundfile.read(tmp_path / "0.wav", dtype="int16")
    soundfile.write(tmp_path / "1.flac", samples, RATE)
    tiny.frame.loc[1, "path"] = "1.flac"
    frame = tiny.frame.rename(columns={"split": "fold"})
    (problem,) = validate(Manifest(frame, CORPUS, tmp_path))
    assert (problem.id, problem.kind) == ("clip1", "leakage")
    assert "clip0" in problem.message


def test_a_segment_of_a_longer_file_is_fine(tmp_path: Path) -> None:
    tiny = manifest(tmp_path)
    tiny.frame.loc[0, ["start", "duration"]] = [0.5, 0.25]
    assert validate(tiny) == []


def test_problems_of_the_table_come_with_those_of_the_audio(tmp_path: Path) -> None:
    tiny = manifest(tmp_path)
    frame = tiny.frame.astype({"duration": "str"})
    frame.loc[0, "duration"] = "long"
    frame.loc[3, "id"] = "clip2"
    frame.loc[4, "split"] = "dev"
    frame.to_csv(tmp_path / "manifest.csv", index=False)
    (tmp_path / "corpus.json").write_text(json.dumps(CORPUS.to_json()))
    (tmp_path / "5.wav").unlink()
    problems = validate(read_manifest(tmp_path / "manifest.csv", strict=False))
    assert {(problem.id, problem.kind) for problem in problems} == {
        ("clip0", "number"),
        ("clip2", "duplicate id"),
        ("clip4", "split"),
        ("clip5", "missing"),
    }


def test_a_table_without_paths_says_so(tmp_path: Path) -> None:
    frame = manifest(tmp_path).frame.drop(columns="path")
    (problem,) = validate(Manifest(frame, CORPUS, tmp_path))
    assert (problem.kind, problem.message) == ("column", "column path is missing")


def test_the_table_alone_is_checked_where_asked(tmp_path: Path) -> None:
    """Files are not opened: none is there; what is wrong with the table is still reported."""
    tiny = manifest(tmp_path)
    for file in tmp_path.glob("*.wav"):
        file.unlink()
    assert validate(tiny, files=False) == []
    assert len(validate(tiny)) == len(tiny)
    tiny.frame.loc[3, "id"] = "clip2"
    assert [problem.kind for problem in validate(tiny, files=False)] == ["duplicate id"]
