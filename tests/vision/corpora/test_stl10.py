"""STL-10: labels in files of their own, and images without any."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from audioinv.base.errors import UserError
from audioinv.data.manifest import Manifest
from vision.corpora import stl10

Read = Callable[[Path], Manifest]
NAMES = ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"]


def tiny(root: Path, n: int = 30) -> Path:
    folder = root / "stl10_binary"
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0)
    for name in ("train_X", "test_X", "unlabeled_X"):
        noise.integers(0, 256, (n, 27648), np.uint8).tofile(folder / f"{name}.bin")
    for name in ("train_y", "test_y"):
        (np.arange(n) % 3 + 1).astype(np.uint8).tofile(folder / f"{name}.bin")
    (folder / "class_names.txt").write_text("\n".join(NAMES) + "\n")
    return root


def test_labels_count_from_one(tmp_path: Path, read_valid: Read) -> None:
    manifest = read_valid(stl10.prepare(tiny(tmp_path / "data"), tmp_path / "out"))
    frame = manifest.frame
    assert frame["category"].tolist() == ["airplane", "bird", "car"] * 20
    assert frame.groupby("split").size().to_dict() == {"train": 27, "valid": 3, "test": 30}
    assert "unlabeled_X.bin" not in set(frame["path"])


def test_unlabelled_images_are_a_corpus_to_pretrain_on(tmp_path: Path, read_valid: Read) -> None:
    root = tiny(tmp_path / "data")
    manifest = read_valid(stl10.prepare(root, tmp_path / "out", subset="unlabelled"))
    assert set(manifest.frame["path"]) == {"unlabeled_X.bin"}
    assert set(manifest.frame["split"]) == {"train", "valid", "test"}
    assert all(task.augmentation for task in manifest.corpus.tasks)
    assert manifest.corpus.name == "stl10_unlabelled"


def test_refusals(tmp_path: Path) -> None:
    root = tiny(tmp_path / "data")
    with pytest.raises(UserError, match=r"subset.*'all'"):
        stl10.prepare(root, tmp_path / "out", subset="all")
    np.ones(29, np.uint8).tofile(root / "stl10_binary" / "test_y.bin")
    with pytest.raises(UserError, match=r"test_y\.bin.*29.*30"):
        stl10.prepare(root, tmp_path / "out")
