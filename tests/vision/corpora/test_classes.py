"""Caltech-101, Describable Textures, Oxford Flowers and Oxford Pets: labels and splits."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from audioinv.base.errors import UserError
from audioinv.data.manifest import Manifest, read_manifest
from vision.corpora import caltech101, dtd, oxford_flowers, oxford_pets

Read = Callable[[Path], Manifest]
Write = Callable[..., None]


def tiny_caltech(root: Path, write: Write, folder: str = "101_ObjectCategories") -> Path:
    for name, n in {"accordion": 31, "Faces_easy": 45, "BACKGROUND_Google": 50}.items():
        write(root, [f"{folder}/{name}/image_{k:04d}.jpg" for k in range(1, n + 1)])
    return root


def test_caltech_trains_on_thirty_of_each_class(
    tmp_path: Path, write_images: Write, read_valid: Read
) -> None:
    root = tiny_caltech(tmp_path / "caltech-101", write_images)
    frame = read_valid(caltech101.prepare(tmp_path, tmp_path / "out")).frame
    assert frame.groupby(["category", "split"]).size().to_dict() == {
        ("Faces_easy", "train"): 27, ("Faces_easy", "valid"): 3, ("Faces_easy", "test"): 15,
        ("accordion", "train"): 27, ("accordion", "valid"): 3, ("accordion", "test"): 1,
    }  # fmt: skip
    other = read_manifest(caltech101.prepare(root, tmp_path / "other", seed=1)).frame
    assert frame["split"].tolist() != other["split"].tolist()
    few = read_manifest(caltech101.prepare(root, tmp_path / "few", train_images=10)).frame
    assert (few["split"] == "test").sum() == 21 + 35
    with pytest.raises(UserError, match=r"train_images.*31.*2 to 30"):
        caltech101.prepare(root, tmp_path / "out", train_images=31)


def test_caltechs_inner_archive_is_unpacked(tmp_path: Path, write_images: Write) -> None:
    tiny_caltech(tmp_path / "made", write_images)
    inner = tmp_path / "data" / "caltech-101" / "101_ObjectCategories.tar.gz"
    inner.parent.mkdir(parents=True)
    with tarfile.open(inner, "w:gz") as archive:
        archive.add(tmp_path / "made" / "101_ObjectCategories", "101_ObjectCategories")
        archive.addfile(tarfile.TarInfo("101_ObjectCategories/._stray"), io.BytesIO())
    frame = read_manifest(caltech101.prepare(tmp_path / "data", tmp_path / "out")).frame
    assert len(frame) == 76


def tiny_dtd(root: Path, write: Write) -> Path:
    folder = root / "dtd"
    names = [f"{c}/{c}_{k:04d}.jpg" for c in ("banded", "woven") for k in range(9)]
    write(folder / "images", names)
    (folder / "labels").mkdir()
    for split in (1, 2):
        for part, kind in enumerate(("train", "val", "test")):
            listed = [name for k, name in enumerate(names) if k % 3 == (part + split) % 3]
            (folder / "labels" / f"{kind}{split}.txt").write_text("\n".join(listed) + "\n")
    return root


def test_dtd_has_ten_splits(tmp_path: Path, write_images: Write, read_valid: Read) -> None:
    root = tiny_dtd(tmp_path / "data", write_images)
    first = read_valid(dtd.prepare(root, tmp_path / "first")).frame.set_index("id")
    second = read_valid(dtd.prepare(root, tmp_path / "second", split=2)).frame.set_index("id")
    assert first.groupby(["split", "texture"]).size().tolist() == [3] * 6
    assert first.loc["banded_0000", "split"] == "test"
    assert second.loc["banded_0000", "split"] == "valid"
    with pytest.raises(UserError, match=r"split.*11.*1 to 10"):
        dtd.prepare(root, tmp_path / "out", split=11)
    with pytest.raises(UserError, match=r"train3\.txt"):
        dtd.prepare(root, tmp_path / "out", split=3)
    (root / "dtd" / "images" / "woven" / "woven_0004.jpg").unlink()
    with pytest.raises(UserError, match=r"1 of 18 files .* images/woven/woven_0004\.jpg"):
        dtd.prepare(root, tmp_path / "out")


def test_flowers_are_numbered_from_one(
    tmp_path: Path, write_images: Write, read_valid: Read
) -> None:
    root = tmp_path / "flowers"
    write_images(root / "jpg", [f"image_{k:05d}.jpg" for k in range(1, 13)])
    savemat(root / "imagelabels.mat", {"labels": np.repeat([77, 1, 102], 4)[None]})
    parts = {"trnid": [[3, 5, 9]], "valid": [[1, 6, 10]], "tstid": [[2, 4, 7, 8, 11, 12]]}
    savemat(root / "setid.mat", parts)
    manifest = read_valid(oxford_flowers.prepare(root, tmp_path / "out"))
    frame = manifest.frame.set_index("id")
    assert frame.groupby("split").size().to_dict() == {"train": 3, "valid": 3, "test": 6}
    assert frame.loc[["image_00004", "image_00005", "image_00012"], "flower"].tolist() == [
        "077", "001", "102"
    ]  # fmt: skip
    assert frame.loc["image_00006", "split"] == "valid"
    savemat(root / "imagelabels.mat", {"labels": np.ones((1, 11))})
    with pytest.raises(UserError, match=r"12.*11"):
        oxford_flowers.prepare(root, tmp_path / "out")


def test_pets_have_a_breed_and_a_species(
    tmp_path: Path, write_images: Write, read_valid: Read
) -> None:
    root = tmp_path / "pets"
    lists = root / "annotations"
    lists.mkdir(parents=True)
    breeds = {"Abyssinian": 1, "american_pit_bull_terrier": 2}
    for name, numbers in {"trainval": range(10), "test": range(10, 14)}.items():
        rows = [(f"{breed}_{k}", number) for breed, number in breeds.items() for k in numbers]
        write_images(root / "images", [f"{image}.jpg" for image, _ in rows])
        (lists / f"{name}.txt").write_text("\n".join(f"{i} {n} {n} 1" for i, n in rows) + "\n")
    manifest = read_valid(oxford_pets.prepare(root, tmp_path / "out"))
    frame = manifest.frame
    assert set(zip(frame["breed"], frame["species"], strict=True)) == {
        ("Abyssinian", "cat"), ("american_pit_bull_terrier", "dog")
    }  # fmt: skip
    assert frame.groupby("split").size().to_dict() == {"train": 18, "valid": 2, "test": 8}
    assert frame[frame["split"] == "valid"]["breed"].nunique() == 2
    (lists / "test.txt").write_text("Abyssinian_1 1\n")
    with pytest.raises(UserError, match=r"test\.txt.*'Abyssinian_1 1'.*'NAME BREED"):
        oxford_pets.prepare(root, tmp_path / "out")
