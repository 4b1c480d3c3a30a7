"""A user's own folder: labels, splits and formats from the tree alone."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audioinv.audio.corpora import CORPORA, folder
from audioinv.base.errors import UserError
from audioinv.data.manifest import read_manifest
from audioinv.data.validate import validate

NOISE = np.random.default_rng(0)


def sound(path: Path, seconds: float = 0.1, rate: int = 16000, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * NOISE.standard_normal((round(seconds * rate), channels)), rate)


def test_folder_names_are_labels_and_the_split_is_even(tmp_path: Path) -> None:
    root = tmp_path / "sounds"
    for i in range(40):
        sound(root / "dog" / f"{i}.wav")
    for i in range(20):
        sound(root / "cat" / "deep" / f"{i}.flac")
    manifest = read_manifest(folder.prepare(root, tmp_path / "out"))
    counts = manifest.frame.groupby(["label", "split"]).size().to_dict()
    assert counts == {
        ("cat", "train"): 16, ("cat", "valid"): 2, ("cat", "test"): 2,
        ("dog", "train"): 32, ("dog", "valid"): 4, ("dog", "test"): 4,
    }  # fmt: skip
    assert [task.label for task in manifest.corpus.tasks] == ["label"]
    assert "cat/deep/3.flac" in set(manifest.frame["path"])
    assert validate(manifest) == []


def test_length_and_rate_are_those_of_each_file(tmp_path: Path) -> None:
    root = tmp_path / "sounds"
    sound(root / "a.WAV", 0.25, 8000)
    sound(root / "b.ogg", 0.5, 16000, channels=2)
    sound(root / "c.mp3", 1.0, 16000)
    sound(root / "d.flac", 0.125, 16000)
    manifest = read_manifest(folder.prepare(root, tmp_path / "out"))
    assert manifest.frame["id"].tolist() == ["a.WAV", "b.ogg", "c.mp3", "d.flac"]
    assert manifest.frame["duration"].tolist() == [0.25, 0.5, 1.0, 0.125]
    assert manifest.frame["sample_rate"].tolist() == [8000, 16000, 16000, 16000]
    assert (manifest.corpus.sample_rate, manifest.corpus.tasks) == (16000, ())
    assert "label" not in manifest.frame
    assert validate(manifest) == []


@pytest.mark.parametrize("given", [("train", "valid", "test"), ("train", "test")])
def test_split_folders_are_the_split(tmp_path: Path, given: tuple[str, ...]) -> None:
    root = tmp_path / "sounds"
    for split in given:
        for label in ("cat", "dog"):
            for i in range(10):
                sound(root / split / label / f"{i}.wav")
    frame = read_manifest(folder.prepare(root, tmp_path / "out")).frame
    tests = frame[frame["split"] == "test"]
    assert set(tests["path"]) == {p for p in frame["path"] if p.startswith("test/")}
    assert set(frame["label"]) == {"cat", "dog"}
    valid = frame[frame["split"] == "valid"].groupby("label").size().to_dict()
    each = 10 if "valid" in given else 1
    assert valid == {"cat": each, "dog": each}


def test_hidden_and_other_files_are_left_out(tmp_path: Path) -> None:
    root = tmp_path / "sounds"
    for name in ("a.wav", "b.wav", ".hidden.wav", ".trash/c.wav"):
        sound(root / name)
    (root / "notes.txt").write_text("not audio")
    (root / "folder.wav").mkdir()
    frame = read_manifest(folder.prepare(root, tmp_path / "out")).frame
    assert frame["path"].tolist() == ["a.wav", "b.wav"]


def test_one_label_is_no_task(tmp_path: Path) -> None:
    for i in range(5):
        sound(tmp_path / "sounds" / "dog" / f"{i}.wav")
    manifest = read_manifest(folder.prepare(tmp_path / "sounds", tmp_path / "out"))
    assert manifest.corpus.tasks == ()


def test_no_audio_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\.flac"):
        folder.prepare(tmp_path, tmp_path / "out")
    with pytest.raises(UserError, match="not a folder"):
        folder.prepare(tmp_path / "nowhere", tmp_path / "out")


def test_unreadable_files_are_all_named(tmp_path: Path) -> None:
    root = tmp_path / "sounds"
    sound(root / "good.wav")
    (root / "one.wav").write_text("no audio")
    (root / "two.mp3").touch()
    with pytest.raises(UserError, match=r"2 .*one\.wav.*two\.mp3"):
        folder.prepare(root, tmp_path / "out")


def test_files_beside_label_folders_are_an_error(tmp_path: Path) -> None:
    sound(tmp_path / "sounds" / "dog" / "a.wav")
    sound(tmp_path / "sounds" / "stray.wav")
    with pytest.raises(UserError, match=r"1 of 2 files .* such as stray\.wav"):
        folder.prepare(tmp_path / "sounds", tmp_path / "out")


@pytest.mark.parametrize("other", ["eval/a.wav", "test/a.wav extra/b.wav", "test/a.wav b.wav"])
def test_unclear_split_folders_are_an_error(tmp_path: Path, other: str) -> None:
    for name in ("train/a.wav", *other.split()):
        sound(tmp_path / "sounds" / name)
    with pytest.raises(UserError, match=r"train, valid.*test"):
        folder.prepare(tmp_path / "sounds", tmp_path / "out")


def test_a_link_out_of_the_root_is_an_error(tmp_path: Path) -> None:
    sound(tmp_path / "elsewhere.wav")
    (tmp_path / "sounds").mkdir()
    (tmp_path / "sounds" / "link.wav").symlink_to(tmp_path / "elsewhere.wav")
    with pytest.raises(UserError, match=r"link\.wav"):
        folder.prepare(tmp_path / "sounds", tmp_path / "out")


@pytest.mark.parametrize("name", CORPORA)
def test_every_corpus_describes_itself(name: str) -> None:
    corpus = CORPORA[name]
    assert name == corpus.NAME
    assert all((corpus.TITLE, corpus.LICENCE, corpus.SOURCE, corpus.DESCRIPTION))
    corpus.add_arguments(argparse.ArgumentParser())
