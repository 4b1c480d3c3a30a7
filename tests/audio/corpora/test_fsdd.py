"""The Free Spoken Digit Dataset: published split, even validation, tasks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from audioinv.audio.corpora import CORPORA, fsdd
from audioinv.audio.io import write_wav
from audioinv.audio.media import Sounds
from audioinv.base.errors import UserError
from audioinv.data.manifest import read_manifest
from audioinv.data.pack import build_pack


def test_the_real_corpus(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    root = shared_data("fsdd")
    manifest = read_manifest(CORPORA["fsdd"].prepare(root, tmp_path, seed=0))
    frame = manifest.frame
    assert frame["split"].value_counts().to_dict() == {"train": 2430, "test": 300, "valid": 270}
    take = frame["id"].str.split("_").str[2].astype(int)
    assert (take[frame["split"] == "test"] < 5).all()
    assert (take[frame["split"] != "test"] >= 5).all()
    valid = frame[frame["split"] == "valid"].groupby(["digit", "speaker"]).size()
    assert len(valid) == 60
    assert set(valid) == {4, 5}  # a tenth of 45
    assert manifest.path(frame.iloc[0]).is_file()
    assert set(frame["sample_rate"]) == {8000}


def test_the_seed_chooses_validation_only(
    shared_data: Callable[[str], Path], tmp_path: Path
) -> None:
    root = shared_data("fsdd")
    paths = [fsdd.prepare(root, tmp_path / name, seed) for name, seed in (("a", 0), ("b", 1))]
    again = fsdd.prepare(root, tmp_path / "c", 0)
    assert paths[0].read_bytes() == again.read_bytes()
    one, two = (read_manifest(path).frame["split"] for path in paths)
    assert (one != two).any()
    assert ((one == "test") == (two == "test")).all()


def tiny(root: Path) -> Path:
    noise = np.random.default_rng(0)
    for digit in (0, 1):
        for speaker in ("ann", "bob"):
            for take in range(4, 14):
                name = f"recordings/{digit}_{speaker}_{take}.wav"
                write_wav(root / name, 0.1 * noise.standard_normal(800), 8000)
    return root


def test_prepare_then_pack(tmp_path: Path) -> None:
    manifest = read_manifest(fsdd.prepare(tiny(tmp_path / "fsdd"), tmp_path / "data"))
    pack = build_pack(manifest, tmp_path / "pack", Sounds(16000))
    assert len(pack) == 40
    assert pack.frame["n_samples"].tolist() == [1600] * 40
    tasks = {task.name: (task.label, task.groups, task.augmentation) for task in pack.corpus.tasks}
    assert tasks == {
        "digit": ("digit", None, None),
        "speaker": ("speaker", None, None),
        "digit_unseen_speaker": ("digit", "speaker", None),
        "speaker_unseen_digit": ("speaker", "digit", None),
        "shift": ("shift", None, "time_shift"),
    }


def test_a_missing_corpus_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Jakobovski/free-spoken-digit-dataset"):
        fsdd.prepare(tmp_path / "nowhere", tmp_path / "out")


def test_odd_and_broken_files_are_named(tmp_path: Path) -> None:
    root = tiny(tmp_path)
    (root / "recordings" / "1_bob_13.wav").write_text("no audio")
    with pytest.raises(UserError, match=r"1_bob_13\.wav"):
        fsdd.prepare(root, tmp_path / "out")
    (root / "recordings" / "notes.wav").touch()
    with pytest.raises(UserError, match=r"notes\.wav"):
        fsdd.prepare(root, tmp_path / "out")
    assert not (tmp_path / "out").exists()
