"""Corpora of landmarks: 300-W, CelebA and Leeds Sports Pose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from audioinv.base.errors import UserError
from audioinv.data.manifest import Manifest, read_manifest
from vision.corpora import celeba, ibug_300w, leeds_sports_pose

Read = Callable[[Path], Manifest]
Write = Callable[..., None]


def values(manifest: Manifest, name: str, column: str = "landmarks") -> list[float]:
    row = manifest.frame.set_index("id").loc[name]
    return [float(v) for v in row[column].split(";")]


def tiny_300w(root: Path, write: Write) -> Path:
    """Two photographs of two faces each in AFW, and twenty or five of one face elsewhere."""
    afw = [f"afw/{photo}_{face}" for photo in ("111", "222") for face in (1, 2)]
    others = {"helen/trainset": 20, "lfpw/trainset": 20, "helen/testset": 5, "lfpw/testset": 5,
              "ibug": 5}  # fmt: skip
    names = [*afw, *(f"{folder}/image_{k} _1" for folder, n in others.items() for k in range(n))]
    for k, name in enumerate(names):
        image = f"{name}.png" if name.startswith("lfpw") else f"{name}.jpg"
        write(root, [image], width=40, height=20)
        lines = "\n".join(f"{point + k / 100:.3f} {point / 10:.3f}" for point in range(68))
        text = f"version: 1\nn_points:  68\n{{\n{lines}\n}}\n"
        (root / f"{name}.pts").write_text(text)
    for photo in ("111", "222"):  # each face's image is the same photograph
        (root / f"afw/{photo}_2.jpg").write_bytes((root / f"afw/{photo}_1.jpg").read_bytes())
    return root


def test_300w_is_split_as_usual(tmp_path: Path, write_images: Write, read_valid: Read) -> None:
    root = tiny_300w(tmp_path / "300w", write_images)
    manifest = read_valid(ibug_300w.prepare(root, tmp_path / "out"))
    frame = manifest.frame
    assert set(frame[frame["split"] == "test"]["source"]) == set(ibug_300w.TEST["full"])
    assert len(frame[frame["split"] == "test"]) == 15
    assert set(frame[frame["split"] == "train"]["source"]) == set(ibug_300w.TRAIN)
    assert 3 <= len(frame[frame["split"] == "valid"]) <= 6
    assert frame.groupby("photo")["split"].nunique().max() == 1
    assert frame[frame["source"] == "afw"].groupby("photo").size().tolist() == [2, 2]
    points = values(manifest, "helen/trainset/image_0 _1")
    assert len(points) == 136
    # file number 4, so 0.04 is added to each x; the image has 40 by 20 pixels
    assert points[:4] == pytest.approx([0.04 / 40, 0, 1.04 / 40, 0.1 / 20], abs=1e-5)
    assert points[-2:] == pytest.approx([67.04 / 40, 6.7 / 20], abs=1e-5)


@pytest.mark.parametrize("test", ["common", "challenging"])
def test_parts_of_300w(tmp_path: Path, write_images: Write, read_valid: Read, test: str) -> None:
    root = tiny_300w(tmp_path / "300w", write_images)
    frame = read_valid(ibug_300w.prepare(root, tmp_path / "out", test=test)).frame
    assert set(frame[frame["split"] == "test"]["source"]) == set(ibug_300w.TEST[test])
    assert len(frame) == 44 + 5 * len(ibug_300w.TEST[test])


def test_300w_refusals(tmp_path: Path, write_images: Write) -> None:
    root = tiny_300w(tmp_path / "300w", write_images)
    with pytest.raises(UserError, match=r"test.*'all'.*full, common, challenging"):
        ibug_300w.prepare(root, tmp_path / "out", test="all")
    file = root / "ibug" / "image_0 _1.pts"
    for text in ("{ 1 2 3 }", "", "{ " + "nan " * 136 + "}", "{ " + "x " * 136 + "}"):
        file.write_text(text)
        with pytest.raises(UserError, match=r"image_0 _1\.pts"):
            ibug_300w.prepare(root, tmp_path / "out")
    (root / "ibug" / "image_0 _1.jpg").unlink()
    file.write_text((root / "ibug" / "image_1 _1.pts").read_text())
    with pytest.raises(UserError, match=r"image_0 _1\.pts"):
        ibug_300w.prepare(root, tmp_path / "out")


def tiny_celeba(root: Path, write: Write, n: int = 9) -> Path:
    names = [f"{k:06d}.jpg" for k in range(1, n + 1)]
    write(root / "img_align_celeba", names, width=178, height=218)
    header = "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y \n"
    rows = [
        f"{name}  69  109  106  113   77  142   73  {k}  108  154" for k, name in enumerate(names)
    ]
    (root / celeba.POINTS).write_text(f"{n}\n{header}" + "\n".join(rows) + "\n")
    parts = [f"{name} {k % 3}" for k, name in enumerate(names)]
    (root / celeba.PARTS).write_text("\n".join(parts) + "\n")
    return root


def test_celeba_has_its_own_split(tmp_path: Path, write_images: Write, read_valid: Read) -> None:
    root = tiny_celeba(tmp_path / "celeba", write_images)
    path = celeba.prepare(root, tmp_path / "out")
    manifest = read_valid(path)
    assert path.suffix == ".parquet"
    assert manifest.frame["split"].tolist() == ["train", "valid", "test"] * 3
    expected = [69, 109, 106, 113, 77, 142, 73, 3, 108, 154]
    size = [178, 218] * 5
    assert values(manifest, "000004") == pytest.approx(np.array(expected) / size, abs=1e-5)


def test_celeba_refusals(tmp_path: Path, write_images: Write) -> None:
    root = tiny_celeba(tmp_path / "celeba", write_images)
    (root / celeba.PARTS).write_text("000001.jpg 0\n")
    with pytest.raises(UserError, match=r"8 .*000002\.jpg"):
        celeba.prepare(root, tmp_path / "out")
    (root / celeba.PARTS).write_text("000001.jpg\n")
    with pytest.raises(UserError, match=r"'000001\.jpg'.* 1 "):
        celeba.prepare(root, tmp_path / "out")


def tiny_poses(root: Path, write: Write, n: int = 40) -> tuple[Path, np.ndarray]:
    folder = root / "lsp_dataset"
    names = [f"im{k:04d}.jpg" for k in range(1, n + 1)]
    write(folder / "images", names[:-1], width=30, height=60)
    write(folder / "images", names[-1:], width=50, height=20)
    joints = np.random.default_rng(0).uniform(0, 20, (3, 14, n))
    joints[2] = joints[2] > 10
    savemat(folder / "joints.mat", {"joints": joints})
    return root, joints


def test_the_first_half_of_the_poses_trains(
    tmp_path: Path, write_images: Write, read_valid: Read
) -> None:
    root, joints = tiny_poses(tmp_path / "lsp", write_images)
    manifest = read_valid(leeds_sports_pose.prepare(root, tmp_path / "out"))
    frame = manifest.frame
    assert frame.groupby("split").size().to_dict() == {"train": 18, "valid": 2, "test": 20}
    assert frame[frame["split"] == "test"]["id"].iloc[0] == "im0021"
    for name, (width, height) in {"im0003": (30, 60), "im0040": (50, 20)}.items():
        points = np.array(values(manifest, name, "joints")).reshape(14, 2)
        k = int(name[2:]) - 1
        assert points[5].tolist() == pytest.approx(
            [joints[0, 5, k] / width, joints[1, 5, k] / height], abs=1e-5
        )


def test_pose_refusals(tmp_path: Path, write_images: Write) -> None:
    root, joints = tiny_poses(tmp_path / "lsp", write_images)
    file = root / "lsp_dataset" / "joints.mat"
    savemat(file, {"joints": joints.transpose(1, 0, 2)})
    with pytest.raises(UserError, match=r"\(14, 3, 40\).*\(3, 14, images\)"):
        leeds_sports_pose.prepare(root, tmp_path / "out")
    for content in (b"", b"no matlab" * 100):
        file.write_bytes(content)
        with pytest.raises(UserError, match=r"joints\.mat"):
            leeds_sports_pose.prepare(root, tmp_path / "out")
    savemat(file, {"other": joints})
    with pytest.raises(UserError, match="cannot read joints"):
        leeds_sports_pose.prepare(root, tmp_path / "out")
    savemat(file, {"joints": joints})
    (root / "lsp_dataset" / "images" / "im0007.jpg").unlink()
    with pytest.raises(UserError, match=r"1 of 40 files .* such as images/im0007\.jpg"):
        leeds_sports_pose.prepare(root, tmp_path / "out")


def test_sizes_are_those_of_upright_images(tmp_path: Path, write_images: Write) -> None:
    """A turned photograph is read upright, so its points are fractions of the upright sides."""
    root, joints = tiny_poses(tmp_path / "lsp", write_images)
    file = root / "lsp_dataset" / "images" / "im0001.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(file) as image:
        turned = image.copy()
    turned.save(file, exif=exif)
    manifest = read_manifest(leeds_sports_pose.prepare(root, tmp_path / "out"))
    assert values(manifest, "im0001", "joints")[0] == pytest.approx(joints[0, 0, 0] / 60, abs=1e-5)
