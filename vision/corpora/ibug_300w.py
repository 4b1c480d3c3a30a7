"""300-W: photographs with 68 points on a face, gathered from AFW, HELEN, LFPW and iBUG.

The usual split trains on AFW and the training parts of HELEN and LFPW (3,148 faces) and tests on
their test parts (common, 554), on iBUG (challenging, 135), or on both (full, 689).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt

from audioinv.base.errors import UserError
from audioinv.data.download import Download
from audioinv.data.later import pandas as pd
from audioinv.data.lists import choice, locate
from audioinv.data.manifest import stratified_validation
from audioinv.data.task import Task
from audioinv.data.walk import seen
from vision.corpora.images import VALID_FRACTION, landmarks, write_images
from vision.io import ENDINGS

NAME = "ibug_300w"
TITLE = "300-W: 68 facial landmarks"
LICENCE = "for research, not commercial"
SOURCE = "https://ibug.doc.ic.ac.uk/resources/facial-point-annotations/"
DESCRIPTION = "3,148 faces to train on, 689 to test on, each with 68 points"
ACCESS = "public at the addresses of SOURCE, which publishes no checksums"
IMAGES = 3837

N_POINTS = 68
TASKS = (
    Task("landmarks", "landmarks", "regression", unit="fraction of the image's width and height"),
)
TRAIN = ("afw", "helen/trainset", "lfpw/trainset")
TEST = {
    "full": ("helen/testset", "lfpw/testset", "ibug"),
    "common": ("helen/testset", "lfpw/testset"),
    "challenging": ("ibug",),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `audioinv prepare ibug_300w`."""
    parser.add_argument(
        "--test",
        default="full",
        choices=tuple(TEST),
        help="faces to test on: full (default), common or challenging",
    )


def downloads() -> tuple[Download, ...]:
    """One archive for each source, each into a folder of its own."""
    address = "https://ibug.doc.ic.ac.uk/download/annotations"
    names = ("afw", "helen", "ibug", "lfpw")
    return tuple(Download(f"{address}/{name}.zip", f"{name}/{name}.zip") for name in names)


def prepare(root: str | Path, out: str | Path, seed: int = 0, test: str = "full") -> Path:
    """Writes manifest.csv and corpus.json of the faces into `out`.

    Each image has its points beside it, in a .pts file of the same name. They are given as
    fractions of the whole image's width and height; faces are not cut out. A tenth of the training
    photographs, even over the sources, is for validation: the faces of one stay together.

    Args:
        test: which faces to test on; the others are left out.

    Returns:
        the manifest's path.

    Raises:
        UserError: an unknown test part; the corpus is not there, or files are missing or damaged.
    """
    choice("test", test, tuple(TEST))
    root = locate(root, (*TRAIN, *TEST["full"]), SOURCE)
    parts = {**dict.fromkeys(TRAIN, "train"), **dict.fromkeys(TEST[test], "test")}
    found = [(file, folder) for folder in parts for file in _point_files(root, folder)]
    paths = [_image_of(file).relative_to(root).as_posix() for file, _ in found]
    points = np.stack([read_points(file) for file, _ in found])
    rows = pd.DataFrame(
        {
            "id": [path.rpartition(".")[0] for path in paths],
            "path": paths,
            "split": [parts[folder] for _, folder in found],
            "landmarks": landmarks(root, paths, points),
            "source": [folder for _, folder in found],
            "photo": [_photo(file, folder) for file, folder in found],
        }
    )
    rows = _hold_photos_out(rows, seed)
    return write_images(root, out, rows, (NAME, TITLE, SOURCE, LICENCE), TASKS)


def _point_files(root: Path, folder: str) -> list[Path]:
    files = seen(root / folder, "*.pts")
    if not files:
        raise UserError(f"{root / folder} has no .pts files; get the corpus from {SOURCE}")
    return files


def _image_of(points: Path) -> Path:
    """The image beside a file of points."""
    for ending in (".jpg", ".png", *sorted(ENDINGS)):
        if (image := points.with_suffix(ending)).is_file():
            return image
    raise UserError(f"{points} has no image beside it; unpack the corpus again")


def _photo(points: Path, folder: str) -> str:
    """AFW has a copy of a photograph for each face on it: NAME_1, NAME_2."""
    name = points.stem.rpartition("_")[0] if folder == "afw" else points.stem
    return f"{folder}/{name}"


def _hold_photos_out(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    photos = rows[["photo", "source", "split"]].drop_duplicates().rename(columns={"photo": "id"})
    photos = stratified_validation(photos, "source", VALID_FRACTION, seed)
    return rows.assign(split=rows["photo"].map(photos.set_index("id")["split"]))


def read_points(file: Path) -> npt.NDArray[np.float64]:
    """The points (68, 2) of a .pts file, x and y in pixels between its braces.

    Raises:
        UserError: the file cannot be read, or does not have them.
    """
    try:
        text = file.read_text(encoding="ascii")
        values = [float(v) for v in text.partition("{")[2].partition("}")[0].split()]
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {file}: {error}") from error
    if len(values) != 2 * N_POINTS or not np.isfinite(values).all():
        raise UserError(f"{file}: holds {len(values)} numbers, not {N_POINTS} points; repair it")
    return np.array(values).reshape(N_POINTS, 2)
