"""CIFAR-100: 60,000 images of 32 x 32 pixels, 100 classes in 20 superclasses, binary layout."""

from __future__ import annotations

import argparse
from pathlib import Path

from audioinv.data.download import Download
from audioinv.data.later import pandas as pd
from audioinv.data.lists import locate, read_lines
from audioinv.data.manifest import stratified_validation
from audioinv.data.task import Task
from vision import io as image_io
from vision.corpora.images import VALID_FRACTION, named, records, write_images

NAME = "cifar100"
TITLE = "CIFAR-100"
LICENCE = "none stated; cite Krizhevsky (2009)"
SOURCE = "https://www.cs.toronto.edu/~kriz/cifar.html (binary version)"
DESCRIPTION = "60,000 images of 32 x 32 pixels in 100 classes of 20 superclasses"
ACCESS = "public; 161 MB"
IMAGES = 60000

TASKS = (Task("category", "category"), Task("superclass", "superclass"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """CIFAR-100 has no options."""


def downloads() -> tuple[Download, ...]:
    """The archive of the binary version."""
    url = "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"
    return (Download(url, "cifar-100-binary.tar.gz", "md5:03b5dce01913d631647c71ecec9e9cb8"),)


def prepare(root: str | Path, out: str | Path, seed: int = 0) -> Path:
    """Writes manifest.csv and corpus.json of the images into `out`.

    A tenth of the training images, even over the classes, is for validation.

    Returns:
        the manifest's path.

    Raises:
        UserError: the corpus is not there or is damaged.
    """
    wanted = ("coarse_label_names.txt", "fine_label_names.txt", "train.bin", "test.bin")
    root = locate(root, wanted, SOURCE)
    coarse, fine = (read_lines(root / f"{kind}_label_names.txt") for kind in ("coarse", "fine"))
    tables = []
    for split in ("train", "test"):
        file = root / f"{split}.bin"
        codes = image_io.labels(file)
        category, superclass = named(codes[:, 1], fine, file), named(codes[:, 0], coarse, file)
        tables.append(records(file, split, category=category, superclass=superclass))
    rows = pd.concat(tables, ignore_index=True)
    rows = stratified_validation(rows, "category", VALID_FRACTION, seed)
    return write_images(root, out, rows, (NAME, TITLE, SOURCE, LICENCE), TASKS)
