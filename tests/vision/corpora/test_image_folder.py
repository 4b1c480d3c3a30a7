"""A user's own images, and ImageNet's folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audioinv.base.errors import UserError
from audioinv.cli import main
from audioinv.data.manifest import Manifest, read_manifest
from audioinv.data.validate import validate
from vision.corpora import image_folder, imagenet

Read = Callable[[Path], Manifest]
Write = Callable[..., None]
MANIFESTS = Path(__file__).parents[3] / "data_manifests"


def names(manifest: Manifest) -> list[str]:
    return [task.name for task in manifest.corpus.tasks]


def test_folder_names_are_labels(tmp_path: Path, write_images: Write, read_valid: Read) -> None:
    root = tmp_path / "pictures"
    write_images(root, [f"dog/{i}.png" for i in range(20)])
    write_images(root, [f"cat/deep/{i}.BMP" for i in range(20)])
    manifest = read_valid(image_folder.prepare(root, tmp_path / "out"))
    counts = manifest.frame.groupby(["label", "split"]).size().to_dict()
    assert counts == {(c, s): n for c in ("cat", "dog") for s, n in
                      (("train", 16), ("valid", 2), ("test", 2))}  # fmt: skip
    assert names(manifest) == ["label", "rotation", "hue", "crop_position", "blur"]
    assert manifest.frame["index"].tolist() == [0] * 40


def test_split_folders_are_the_split(tmp_path: Path, write_images: Write, read_valid: Read) -> None:
    root = tmp_path / "pictures"
    paths = [f"{part}/{c}/{i}.png" for part in ("train", "test") for c in "ab" for i in range(10)]
    write_images(root, paths)
    frame = read_valid(image_folder.prepare(root, tmp_path / "out")).frame
    assert frame.groupby("split").size().to_dict() == {"train": 18, "valid": 2, "test": 20}
    assert all(p.startswith("test/") for p in frame[frame["split"] == "test"]["path"])


def test_images_without_labels_have_the_derived_tasks(
    tmp_path: Path, write_images: Write, read_valid: Read
) -> None:
    write_images(tmp_path / "pictures", [f"{i}.png" for i in range(20)])
    manifest = read_valid(image_folder.prepare(tmp_path / "pictures", tmp_path / "out"))
    assert names(manifest) == ["rotation", "hue", "crop_position", "blur"]
    assert manifest.frame.groupby("split").size().to_dict() == {"train": 16, "valid": 2, "test": 2}


def test_the_folder_is_refused(tmp_path: Path, write_images: Write) -> None:
    with pytest.raises(UserError, match=r"\.jpg"):
        image_folder.prepare(tmp_path, tmp_path / "out")
    write_images(tmp_path / "pictures", ["good.png"])
    (tmp_path / "pictures" / "bad.jpg").write_text("no image")
    with pytest.raises(UserError, match=r"1 .*bad\.jpg"):
        image_folder.prepare(tmp_path / "pictures", tmp_path / "out")


def tiny_imagenet(root: Path, write: Write, classes: list[str], n: int = 30) -> Path:
    for name in classes:
        write(root / "train" / name, [f"{name}_{i}.JPEG" for i in range(n)])
        write(root / "val" / name, [f"ILSVRC2012_val_{i}_{name}.JPEG" for i in range(3)])
    return root


def test_imagenets_validation_images_test(
    tmp_path: Path, write_images: Write, read_valid: Read
) -> None:
    root = tiny_imagenet(tmp_path / "ILSVRC", write_images, ["n01440764", "n02119022", "n03000684"])
    manifest = read_valid(imagenet.prepare(root, tmp_path / "out"))
    frame = manifest.frame
    assert set(frame["category"]) == {"n01440764", "n02119022", "n03000684"}
    assert frame[frame["split"] == "test"]["path"].str.startswith("val/").all()
    counts = frame.groupby("split").size().to_dict()
    assert counts == {"train": 87, "valid": 3, "test": 9}
    assert manifest.corpus.name == "imagenet"


def test_some_classes_of_imagenet(tmp_path: Path, write_images: Write, read_valid: Read) -> None:
    root = tiny_imagenet(tmp_path / "ILSVRC", write_images, ["n01440764", "n02119022", "n03000684"])
    (tmp_path / "two.txt").write_text("n02119022 red fox\n\nn01440764\n")
    classes = str(tmp_path / "two.txt")
    manifest = read_valid(imagenet.prepare(root, tmp_path / "out", classes=classes))
    assert set(manifest.frame["category"]) == {"n01440764", "n02119022"}
    assert manifest.corpus.name == "imagenet2"
    (tmp_path / "two.txt").write_text("n02119022\nn99999999\n")
    with pytest.raises(UserError, match=r"1 of 2.*n99999999"):
        imagenet.prepare(root, tmp_path / "out", classes=classes)
    (tmp_path / "two.txt").write_text("\n")
    with pytest.raises(UserError, match="lists no classes"):
        imagenet.prepare(root, tmp_path / "out", classes=classes)


def test_imagenet_100_is_a_hundred_of_imagenets_classes() -> None:
    from timm.data import ImageNetInfo

    listed = (MANIFESTS / "imagenet100" / "classes.txt").read_text().split()
    known = set(ImageNetInfo("imagenet-1k").label_names())
    assert len(listed) == len(set(listed)) == 100
    assert set(listed) <= known


def damage(root: Path, tiny: Manifest) -> dict[str, str]:
    """Spoils the files and rows of images 0 to 7; returns id -> the kind of problem."""
    (root / "0.png").unlink()
    (root / "1.png").write_text("no image")
    (root / "2.png").write_bytes(b"")
    whole = (root / "3.png").read_bytes()
    (root / "3.png").write_bytes(whole[: len(whole) // 2])
    tiny.frame.loc[4, "index"] = 1
    np.zeros((3, 3074), np.uint8).tofile(root / "train.bin")
    tiny.frame.loc[5, ["path", "index"]] = ["train.bin", 3]
    tiny.frame.loc[6, "path"] = "../outside.png"
    pixels = Image.open(root / "9.png")
    pixels.save(root / "7.bmp")  # the same pixels in another format
    tiny.frame.loc[7, "path"] = "7.bmp"
    tiny.frame["split"] = ["train"] * 9 + ["test"]
    kinds = ["missing", "unreadable", "empty", "truncated", "index", "index", "path"]
    return {**{f"{i}.png": kind for i, kind in enumerate(kinds)}, "9.png": "leakage"}


@pytest.mark.parametrize("workers", [1, 2])
def test_validate_reads_every_image(tmp_path: Path, write_images: Write, workers: int) -> None:
    root = tmp_path / "pictures"
    write_images(root, [f"{i}.png" for i in range(10)])
    tiny = read_manifest(image_folder.prepare(root, tmp_path / "out"))
    expected = damage(root, tiny)
    problems = validate(tiny, workers)
    assert {problem.id: problem.kind for problem in problems} == expected
    assert len(problems) == len(expected)
    assert "same image as 7.png, in split train and test" in problems[-1].message


def test_what_is_left_out_is_told(
    tmp_path: Path, write_images: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    """As for sounds: endings, capitals of split folders, files that cannot be read."""
    root = tmp_path / "pictures"
    write_images(root, [f"{p}/{c}/{i}.png" for p in ("Train", "val") for c in "ab" for i in "01"])
    write_images(root, ["Train/a/2.tga", "Train/a/3.jfif"])
    (root / "Train" / "a" / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic")
    (root / "Train" / "b" / "bad.png").write_text("<html>404")
    command = ["prepare", "image_folder", "--root", str(root), "--out", str(tmp_path / "out")]
    assert main(command) == 2
    assert "bad.png" in capsys.readouterr().err
    assert main([*command, "--on_error", "skip"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "10 clips"
    assert "label: a 6, b 4" in lines and "split: train 6, valid 4" in lines
    assert any(".heic: 1" in line and "convert it" in line for line in lines)
    assert main([*command, "--on_error", "skip", "--strict"]) == 2
