"""The only place that opens images: ordinary files by Pillow, and the containers of three corpora.

A container is a file of fixed-length records: label bytes, then the pixels, channel first. CIFAR
and STL-10 publish them. torchvision reads CIFAR's other form, which is pickled Python; nothing here
unpickles anything.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from audioinv.base.errors import FileError
from audioinv.data.parallel import probe_files

Pixels = npt.NDArray[np.uint8]

# Endings found when a folder is searched.
ENDINGS = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
    | {".apng", ".avif", ".dib", ".jfif", ".jp2", ".jpe", ".mpo", ".pbm", ".tga"}
)
MOST_PIXELS = 89_478_485  # where Pillow warns of a decompression bomb
_TURNED = {5, 6, 7, 8}  # EXIF orientations that swap width and height
_ORIENTATION = 0x0112
# What Pillow's decoders raise for damaged files.
_DAMAGE = (
    OSError, ValueError, TypeError, LookupError, SyntaxError, EOFError, ArithmeticError,
    AttributeError, MemoryError, RuntimeError, struct.error, zlib.error,
)  # fmt: skip


class ImageError(FileError):
    """Something is wrong with one image.

    Its kind is one of missing, unreadable, empty, truncated, size, index and blank (one colour).
    """


@dataclass(frozen=True)
class ImageInfo:
    """What a file holds: `width` and `height` of each image in pixels, and how many `records`."""

    width: int
    height: int
    records: int = 1


@dataclass(frozen=True)
class Layout:
    """The records of a container.

    Args:
        label_bytes: before the pixels of each. side: of the square images. transposed: pixels run
            down the columns.
    """

    label_bytes: int
    side: int
    transposed: bool = False

    @property
    def record_bytes(self) -> int:
        return self.label_bytes + 3 * self.side**2


CIFAR10, CIFAR100 = Layout(1, 32), Layout(2, 32)
STL10 = Layout(0, 96, transposed=True)
# By the published name: no two corpora share one, while sizes may fit several layouts.
LAYOUTS: dict[str, Layout] = {
    **{f"data_batch_{k}.bin": CIFAR10 for k in range(1, 6)},
    "test_batch.bin": CIFAR10,
    "train.bin": CIFAR100,
    "test.bin": CIFAR100,
    "train_X.bin": STL10,
    "test_X.bin": STL10,
    "unlabeled_X.bin": STL10,
}


def read(path: str | Path, index: int = 0) -> Pixels:
    """One image as RGB, (H, W, 3).

    Of an ordinary file the first frame, turned upright as its EXIF orientation says. Grey is
    repeated, palettes are looked up, CMYK is converted, an alpha channel is dropped, and 16-bit
    grey is cut to its upper 8.

    Args:
        index: of the record in a container; 0 in an ordinary file.

    Raises:
        ImageError: missing, unreadable, empty, truncated, more than MOST_PIXELS (size), or no such
            record (index).
    """
    path = Path(path)
    if path.suffix == ".bin":
        return _record(path, index)
    if index != 0:
        raise ImageError("index", f"{path}: holds one image but index {index} is asked for; give 0")
    with _open(path) as image:
        return _rgb(path, image)


def probe(path: str | Path) -> ImageInfo:
    """The size of a file's images, upright, and their number, from its header or its length.

    Raises:
        ImageError: as `read`, but for what only the pixels tell.
    """
    path = Path(path)
    if path.suffix == ".bin":
        side = _layout(path).side
        return ImageInfo(side, side, len(_records(path)))
    with _open(path) as image:
        width, height = image.size
        try:
            turned = image.getexif().get(_ORIENTATION) in _TURNED
        except _DAMAGE as error:  # of a PNG, what it says of itself may stand after the pixels
            raise ImageError("truncated", f"{path}: cut or damaged ({error})") from error
    return ImageInfo(height, width) if turned else ImageInfo(width, height)


def probe_all(paths: Sequence[Path]) -> list[ImageInfo]:
    """`probe` of every file, in parallel.

    Raises:
        UserError: files that cannot be read; the message names them all.
    """
    return probe_files(probe, paths)


def labels(path: str | Path) -> Pixels:
    """The label bytes of every record of a container, (records, label bytes).

    Raises:
        ImageError: as `probe`.
    """
    path = Path(path)
    return np.array(_records(path)[:, : _layout(path).label_bytes])


def check(path: Path, index: float) -> tuple[str, ImageError | None]:
    """Reads what a manifest's row promises.

    Returns:
        a hash of the pixels, "" where all are of one colour, which is then said.

    Raises:
        ImageError: as `read`.
    """
    pixels = read(path, int(index))
    if (pixels == pixels[0, 0]).all():  # such images are no leakage of one another
        return "", ImageError("blank", f"{path}: all pixels are of one colour")
    return hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).hexdigest(), None


def _layout(path: Path) -> Layout:
    if path.name not in LAYOUTS:
        raise ImageError(
            "unreadable",
            f"{path}: not the name of a container that is known ({', '.join(LAYOUTS)}); "
            "give it its published name",
        )
    return LAYOUTS[path.name]


def _records(path: Path) -> Pixels:
    """A container's bytes, (records, bytes of each): a read-only memory map."""
    layout, size = _layout(path), _size(path)
    if size % layout.record_bytes:
        raise ImageError(
            "truncated",
            f"{path}: {size} bytes are no whole number of records of {layout.record_bytes}, "
            "cut short or of another layout",
        )
    return np.memmap(path, np.uint8, "r").reshape(-1, layout.record_bytes)


def _record(path: Path, index: int) -> Pixels:
    records, layout = _records(path), _layout(path)
    if not 0 <= index < len(records):
        raise ImageError("index", f"{path}: holds {len(records)} images, none of index {index}")
    pixels = records[index, layout.label_bytes :].reshape(3, layout.side, layout.side)
    return np.ascontiguousarray(pixels.transpose(2, 1, 0) if layout.transposed
                                else pixels.transpose(1, 2, 0))  # fmt: skip


def _size(path: Path) -> int:
    if not path.is_file():
        raise ImageError("missing", f"{path}: no such file")
    size = path.stat().st_size
    if size == 0:
        raise ImageError("empty", f"{path}: the file has no bytes")
    return size


@contextmanager
def _open(path: Path) -> Iterator[Image.Image]:
    _size(path)
    try:
        image = Image.open(path)
    except Image.DecompressionBombError as error:
        raise ImageError("size", f"{path}: {error}") from error
    except _DAMAGE as error:
        raise ImageError("unreadable", f"{path}: no image that can be opened ({error})") from error
    with image:
        if image.width * image.height > MOST_PIXELS:
            raise ImageError(
                "size",
                f"{path}: {image.width} x {image.height} pixels, {MOST_PIXELS} at most; shrink it",
            )
        yield image


def _rgb(path: Path, image: Image.Image) -> Pixels:
    """(H, W, 3), upright."""
    try:
        image.load()
        upright = ImageOps.exif_transpose(image)
    except _DAMAGE as error:
        # It opened, so the header is whole: what it promises is not there.
        raise ImageError("truncated", f"{path}: cut or damaged ({error})") from error
    if upright.mode.startswith("I;16"):
        grey = (np.asarray(upright) >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if upright.mode in ("I", "F"):
        raise ImageError("unreadable", f"{path}: pixels of more than 16 bits; save it with 8")
    try:
        return np.array(upright.convert("RGB"))
    except _DAMAGE as error:  # a palette, or pixels that fit none
        raise ImageError("truncated", f"{path}: cut or damaged ({error})") from error
