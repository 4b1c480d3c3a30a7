"""STL-10: 13,000 labelled images of 96 x 96 pixels, and 100,000 without labels to pre-train on."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from audioinv.base.errors import UserError
from audioinv.data.download import Download
from audioinv.data.later import pandas as pd
from audioinv.data.lists import choice, locate, read_lines
from audioinv.data.manifest import stratified_validation
from audioinv.data.task import Task
from vision import io as image_io
from vision.corpora.images import VALID_FRACTION, named, records, write_images

NAME = "stl10"
TITLE = "STL-10"
LICENCE = "none stated; the images are ImageNet's"
SOURCE = "https://cs.stanford.edu/~acoates/stl10/ (binary files)"
DESCRIPTION = "5,000 training and 8,000 test images of 10 classes, or the 100,000 unlabelled ones"
ACCESS = "public; 2.6 GB"
IMAGES = 113000

TASKS = (Task("category", "category"),)
SUBSETS = ("labelled", "unlabelled")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `audioinv prepare stl10`."""
    parser.add_argument(
        "--subset",
        default="labelled",
        choices=SUBSETS,
        help="labelled (default), or unlabelled: 100,000 images to pre-train on",
    )


def downloads() -> tuple[Download, ...]:
    """The archive of binary files."""
    url = "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz"
    return (Download(url, "stl10_binary.tar.gz", "md5:91f7769df0f17e558f3565bffb0c7dfb"),)


def prepare(root: str | Path, out: str | Path, seed: int = 0, subset: str = "labelled") -> Path:
    """Writes manifest.csv and corpus.json of the images into `out`.

    A tenth of the labelled training images, even over the classes, is for validation. The
    unlabelled images come from more kinds than the classes; a tenth of them tests and a tenth
    validates the derived tasks.

    Returns:
        the manifest's path.

    Raises:
        UserError: an unknown subset; the corpus is not there or is damaged.
    """
    choice("subset", subset, SUBSETS)
    labelled = subset == "labelled"
    parts = ("train_X.bin", "test_X.bin") if labelled else ("unlabeled_X.bin",)
    root = locate(root, ("class_names.txt", *parts), SOURCE)
    if labelled:
        rows = pd.concat([_labelled(root, split) for split in ("train", "test")], ignore_index=True)
    else:
        rows = records(root / parts[0], "train")
        rows = stratified_validation(rows, [], VALID_FRACTION, seed, part="test")
    strata = ["category"] if labelled else []
    rows = stratified_validation(rows, strata, VALID_FRACTION, seed)
    name = NAME if labelled else f"{NAME}_unlabelled"
    about = (name, TITLE, SOURCE, LICENCE)
    return write_images(root, out, rows, about, TASKS if labelled else ())


def _labelled(root: Path, split: str) -> pd.DataFrame:
    """The images of train or test; their classes, from 1, are the bytes of another file."""
    images, file = root / f"{split}_X.bin", root / f"{split}_y.bin"
    n = image_io.probe(images).records
    codes = np.fromfile(file, np.uint8).astype(int) - 1 if file.is_file() else np.zeros(0, int)
    if len(codes) != n:
        raise UserError(f"{file} has {len(codes)} labels for {n} images; unpack the corpus again")
    names = read_lines(root / "class_names.txt")
    return records(images, split, category=named(codes, names, file))
