"""Images are read as their formats say, and no damaged file gives pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.datasets.folder import default_loader

from audioinv.base.errors import UserError
from vision import io as image_io
from vision.io import ImageError, ImageInfo, probe, probe_all, read


def pixels(height: int = 20, width: int = 30, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("ending", ["png", "bmp", "ppm", "tif", "webp"])
def test_lossless_formats_come_back_exactly(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    Image.fromarray(pixels()).save(path, lossless=True)
    assert np.array_equal(read(path), pixels())
    assert probe(path) == ImageInfo(30, 20, 1)


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "CMYK"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    """A picture of black and white is the same in all of them."""
    grey = np.repeat(np.where(pixels()[..., :1] > 127, 255, 0).astype(np.uint8), 3, axis=2)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.fromarray(grey).convert(mode).save(path)
    assert np.array_equal(read(path), grey)


def test_colour_under_transparency_is_kept(tmp_path: Path) -> None:
    """As torchvision's loaders have it."""
    alpha = np.concatenate([pixels(), pixels(seed=1)[..., :1]], axis=2)
    Image.fromarray(alpha).save(tmp_path / "a.png")
    assert np.array_equal(read(tmp_path / "a.png"), pixels())
    assert np.array_equal(read(tmp_path / "a.png"), default_loader(str(tmp_path / "a.png")))


def test_sixteen_bits_of_grey_keep_their_upper_eight(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 2**16, (20, 30), np.uint16)
    Image.fromarray(grey).save(tmp_path / "a.png")
    assert np.array_equal(read(tmp_path / "a.png")[..., 1], grey // 256)
    Image.fromarray(grey.astype(np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(ImageError, match=r"a\.tif.*16 bits.*8"):
        read(tmp_path / "a.tif")


TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.transpose(1, 0, 2),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: np.rot90(x, 2).transpose(1, 0, 2),
    8: lambda x: np.rot90(x),
}


@pytest.mark.parametrize("orientation", TURNS)
def test_the_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels()).save(tmp_path / "a.png", exif=exif)
    got = read(tmp_path / "a.png")
    assert np.array_equal(got, TURNS[orientation](pixels()))
    assert probe(tmp_path / "a.png") == ImageInfo(got.shape[1], got.shape[0])


def refused(path: Path, kind: str, index: int = 0) -> None:
    with pytest.raises(ImageError, match=str(path)) as caught:
        read(path, index)
    assert caught.value.kind == kind


@pytest.mark.parametrize("ending", ["png", "jpg", "gif", "webp", "bmp", "tif"])
def test_damaged_files_are_refused(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    refused(path, "missing")
    path.touch()
    refused(path, "empty")
    path.write_text("no image " * 50)
    refused(path, "unreadable")
    Image.fromarray(pixels(200, 300)).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError) as caught:
        read(path)
    assert caught.value.kind in ("truncated", "unreadable")


def test_a_damaged_middle_of_a_png_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(pixels(100, 100)).save(path)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 40] = bytes(40)
    path.write_bytes(raw)
    refused(path, "truncated")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [9_500, 14_000])  # Pillow warns of the first, refuses the second
def test_a_decompression_bomb_is_refused(tmp_path: Path, side: int) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (side, side)).save(path)
    assert path.stat().st_size < 100_000
    refused(path, "size")
    with pytest.raises(ImageError):
        probe(path)


def test_an_ordinary_file_has_one_image(tmp_path: Path) -> None:
    Image.fromarray(pixels()).save(tmp_path / "a.png")
    refused(tmp_path / "a.png", "index", 1)


def test_probing_names_every_unreadable_file(tmp_path: Path) -> None:
    Image.fromarray(pixels()).save(tmp_path / "good.png")
    (tmp_path / "one.png").write_text("no image")
    assert probe_all([tmp_path / "good.png"]) == [ImageInfo(30, 20)]
    with pytest.raises(UserError, match=r"2 .*one\.png.*two\.png"):
        probe_all([tmp_path / name for name in ("one.png", "good.png", "two.png")])


# name, label bytes, side, and what the format's description says of pixel (channel, row, column)
CONTAINERS = {
    "data_batch_3.bin": (1, 32, lambda c, y, x: 1024 * c + 32 * y + x),
    "test_batch.bin": (1, 32, lambda c, y, x: 1024 * c + 32 * y + x),
    "train.bin": (2, 32, lambda c, y, x: 1024 * c + 32 * y + x),
    "test_X.bin": (0, 96, lambda c, y, x: 9216 * c + 96 * x + y),
}


@pytest.mark.parametrize("name", CONTAINERS)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_records_lie_as_their_formats_say(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    labelled, side, place = CONTAINERS[name]
    n = data.draw(st.integers(1, 4))
    raw = np.random.default_rng(n).integers(0, 256, (n, labelled + 3 * side**2), np.uint8)
    path = tmp_path_factory.mktemp("container") / name
    raw.tofile(path)
    index, c = data.draw(st.integers(0, n - 1)), data.draw(st.integers(0, 2))
    y, x = data.draw(st.integers(0, side - 1)), data.draw(st.integers(0, side - 1))
    image = read(path, index)
    assert image.shape == (side, side, 3) and image.flags.writeable
    assert image[y, x, c] == raw[index, labelled + place(c, y, x)]
    assert probe(path) == ImageInfo(side, side, n)
    assert np.array_equal(image_io.labels(path), raw[:, :labelled])


def test_containers_that_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.bin"
    refused(path, "missing")
    path.touch()
    refused(path, "empty")
    np.zeros(2 * 3074, np.uint8).tofile(path)
    refused(path, "index", 2)
    refused(path, "index", -1)
    path.write_bytes(path.read_bytes()[:-1])
    refused(path, "truncated")
    other = path.rename(tmp_path / "mine.bin")
    refused(other, "unreadable")


def test_the_real_images(shared_data: Callable[[str], Path]) -> None:
    path = shared_data("cifar10_subset") / "cifar-10-batches-bin" / "test_batch.bin"
    info = probe(path)
    assert (info.width, info.height, info.records) == (32, 32, 2000)
    assert np.bincount(image_io.labels(path)[:, 0]).tolist() == [200] * 10
    photo = read(path, 7).astype(int)
    # Neighbours of a photograph are alike, in rows and in columns; a wrong layout breaks that.
    shuffled = np.random.default_rng(0).permutation(photo.reshape(-1, 3)).reshape(photo.shape)
    for axis in (0, 1):
        near, far = (np.abs(np.diff(x, axis=axis)).mean() for x in (photo, shuffled))
        assert near < 0.5 * far


def test_a_png_that_ends_within_its_pixels(tmp_path: Path) -> None:
    """Its header is whole; Pillow reads the pixels to look for what may stand behind them."""
    path = tmp_path / "a.png"
    Image.fromarray((np.arange(360) % 251).astype(np.uint8).reshape(12, 10, 3)).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:70] + whole[:64] + whole[70:])
    for function in (probe, read):
        with pytest.raises(UserError):
            function(path)
