"""Caltech-101: photographs of 101 kinds of things, thirty of each to train on.

No split is published. The usual protocol draws 30 images of every class to train on and tests on
the rest, by the mean accuracy of a class (`balanced_accuracy` in result rows).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from audioinv.base.errors import UserError
from audioinv.data.download import Download
from audioinv.data.later import pandas as pd
from audioinv.data.lists import locate
from audioinv.data.manifest import keyed_hash, stratified_validation
from audioinv.data.task import Task
from audioinv.data.unpack import unpack
from vision.corpora.images import VALID_FRACTION, write_images

NAME = "caltech101"
TITLE = "Caltech-101"
LICENCE = "CC-BY-4.0"
SOURCE = "https://data.caltech.edu/records/mzrjq-6wc02"
DESCRIPTION = "8,677 photographs of 101 kinds of things; 30 of each to train on, drawn by the seed"
ACCESS = "public; 137 MB"
IMAGES = 8677

TASKS = (Task("category", "category"),)
FOLDER = "101_ObjectCategories"
CLUTTER = "BACKGROUND_Google"  # found by the word "things": no class


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `audioinv prepare caltech101`."""
    parser.add_argument(
        "--train_images", default=30, type=int, help="of each class, to train on (default 30)"
    )


def downloads() -> tuple[Download, ...]:
    """The archive, which holds another: `prepare` unpacks that one."""
    url = f"{SOURCE}/files/caltech-101.zip"
    return (Download(url, "caltech-101.zip", "md5:3138e1922a9193bfa496528edbbc45d0"),)


def prepare(root: str | Path, out: str | Path, seed: int = 0, train_images: int = 30) -> Path:
    """Writes manifest.csv and corpus.json of the images into `out`.

    They are 101_ObjectCategories/CLASS/*.jpg under `root`; the archive of that name that the
    published zip unpacks to is unpacked first. A tenth of the training images is for validation.

    Args:
        train_images: of each class, drawn by `seed`; all others are for testing.

    Returns:
        the manifest's path.

    Raises:
        UserError: the corpus is not there, or a class has no images left to test on.
    """
    _unpack_inner(Path(root))
    root = locate(root, FOLDER, SOURCE)
    rows = [
        {
            "id": f"{file.parent.name}/{file.stem}",
            "path": f"{FOLDER}/{file.parent.name}/{file.name}",
            "category": file.parent.name,
        }
        for file in sorted((root / FOLDER).glob("*/image_*.jpg"))
        if file.parent.name != CLUTTER
    ]
    if not rows:
        raise UserError(f"{root / FOLDER} has no CLASS/image_*.jpg; get the corpus from {SOURCE}")
    frame = _split(pd.DataFrame(rows), train_images, seed)
    frame = stratified_validation(frame, "category", VALID_FRACTION, seed)
    return write_images(root, out, frame, (NAME, TITLE, SOURCE, LICENCE), TASKS)


def _unpack_inner(root: Path) -> None:
    for folder in (root, *(path for path in sorted(root.glob("*")) if path.is_dir())):
        archive = folder / f"{FOLDER}.tar.gz"
        if archive.is_file() and not (folder / FOLDER).is_dir():
            unpack(archive)


def _split(rows: pd.DataFrame, train_images: int, seed: int) -> pd.DataFrame:
    """`rows` with the first `train_images` of each class, in a keyed order, as train."""
    fewest = int(rows["category"].value_counts().min())
    if not 1 < train_images < fewest:
        raise UserError(
            f"train_images is {train_images}; give 2 to {fewest - 1}: a class has {fewest} images"
        )
    shuffled = rows.assign(key=[keyed_hash(seed, name) for name in rows["id"]]).sort_values("key")
    trains = shuffled.groupby("category").cumcount() < train_images
    return rows.assign(split=trains.map({True: "train", False: "test"}))
