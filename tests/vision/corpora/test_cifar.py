"""CIFAR-10 and CIFAR-100 in the binary layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from audioinv.base.errors import UserError
from audioinv.data.manifest import Manifest, read_manifest
from vision import io as image_io
from vision.corpora import cifar10, cifar100

Read = Callable[[Path], Manifest]
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
NOISE = np.random.default_rng(0)


def write_records(file: Path, *codes: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = NOISE.integers(0, 256, (len(codes[0]), 3072), np.uint8)
    np.concatenate([*(c[:, None].astype(np.uint8) for c in codes), pixels], axis=1).tofile(file)


def tiny10(root: Path) -> Path:
    for name in ("data_batch_1", "data_batch_2", "test_batch"):
        write_records(root / f"{name}.bin", np.arange(100) % 10)
    (root / "batches.meta.txt").write_text("\n".join(CLASSES) + "\n\n")
    return root


def test_the_real_images(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    root = shared_data("cifar10_subset")
    manifest = read_manifest(cifar10.prepare(root, tmp_path))
    counts = manifest.frame.groupby(["split", "category"]).size().unstack()
    assert list(counts.columns) == CLASSES
    assert {part: set(row) for part, row in counts.iterrows()} == {
        "train": {900}, "valid": {100}, "test": {200}
    }  # fmt: skip
    assert manifest.frame["index"].dtype == "int64"
    row = manifest.frame.iloc[10007]
    raw = (root / "cifar-10-batches-bin" / "test_batch.bin").read_bytes()[7 * 3073 : 8 * 3073]
    assert (row["id"], row["index"], row["category"]) == ("test_batch_00007", 7, CLASSES[raw[0]])
    image = image_io.read(manifest.path(row), row["index"])
    assert bytes(image[:, :, 2].ravel()) == raw[1 + 2048 :]


def test_cifar10(tmp_path: Path, read_valid: Read) -> None:
    tiny10(tmp_path / "data" / "cifar-10-batches-bin")
    manifest = read_valid(cifar10.prepare(tmp_path / "data", tmp_path / "out"))
    frame = manifest.frame
    assert list(frame.columns) == ["id", "path", "index", "split", "category"]
    assert frame.groupby("split").size().to_dict() == {"train": 180, "valid": 20, "test": 100}
    assert frame[frame["split"] == "valid"]["category"].value_counts().tolist() == [2] * 10
    assert set(frame[frame["split"] == "test"]["path"]) == {"test_batch.bin"}
    assert frame["id"].iloc[101] == "data_batch_2_00001"
    assert (manifest.corpus.tasks[0].name, manifest.corpus.sample_rate) == ("category", 0)


def test_another_seed_draws_another_validation_part(tmp_path: Path) -> None:
    root = tiny10(tmp_path / "data")
    parts = [
        read_manifest(cifar10.prepare(root, tmp_path / str(run), seed)).frame["split"].tolist()
        for run, seed in enumerate((0, 0, 1))
    ]
    assert parts[0] == parts[1] != parts[2]


def test_cifar100_has_two_labels(tmp_path: Path, read_valid: Read) -> None:
    root = tmp_path / "cifar-100-binary"
    for name in ("train", "test"):
        write_records(root / f"{name}.bin", np.arange(60) % 2, np.arange(60) % 6)
    (root / "coarse_label_names.txt").write_text("fish\ntrees\n")
    (root / "fine_label_names.txt").write_text("ray\noak\nshark\npine\ntrout\nwillow\n")
    frame = read_valid(cifar100.prepare(tmp_path, tmp_path / "out")).frame
    assert frame.groupby("split").size().to_dict() == {"train": 54, "valid": 6, "test": 60}
    pairs = set(zip(frame["superclass"], frame["category"], strict=True))
    assert pairs == {("fish", n) for n in ("ray", "shark", "trout")} | {
        ("trees", n) for n in ("oak", "pine", "willow")
    }


def test_refusals(tmp_path: Path) -> None:
    root = tiny10(tmp_path / "data")
    (root / "batches.meta.txt").write_text("cat\ndog\n")
    with pytest.raises(UserError, match=r"0 to 9.*2"):
        cifar10.prepare(root, tmp_path / "out")
    file = root / "test_batch.bin"
    file.write_bytes(file.read_bytes()[:-100])
    (root / "batches.meta.txt").write_text("\n".join(CLASSES))
    with pytest.raises(UserError, match=r"test_batch\.bin"):
        cifar10.prepare(root, tmp_path / "out")
    assert not (tmp_path / "out").exists()
