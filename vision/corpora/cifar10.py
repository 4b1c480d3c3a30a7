"""CIFAR-10: 60,000 images of 32 x 32 pixels, ten classes, in the binary layout.

torchvision reads the other layout, pickled Python, which could run any code; we do not.
"""

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

NAME = "cifar10"
TITLE = "CIFAR-10"
LICENCE = "none stated; cite Krizhevsky (2009)"
SOURCE = "https://www.cs.toronto.edu/~kriz/cifar.html (binary version)"
DESCRIPTION = "60,000 images of 32 x 32 pixels in 10 classes, 10,000 of them the test set"
ACCESS = "public; 162 MB"
IMAGES = 60000

TASKS = (Task("category", "category"),)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """CIFAR-10 has no options."""


def downloads() -> tuple[Download, ...]:
    """The archive of the binary version."""
    url = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
    return (Download(url, "cifar-10-binary.tar.gz", "md5:c32a1d4ab5d03f1284b67883e8d87530"),)


def prepare(root: str | Path, out: str | Path, seed: int = 0) -> Path:
    """Writes manifest.csv and corpus.json of the images into `out`.

    Every data_batch_*.bin that is there is for training, a tenth of it, even over the classes, for
    validation; test_batch.bin is for testing.

    Returns:
        the manifest's path.

    Raises:
        UserError: the corpus is not there or is damaged.
    """
    wanted = ("batches.meta.txt", "data_batch_*.bin", "test_batch.bin")
    root = locate(root, wanted, SOURCE)
    names = read_lines(root / "batches.meta.txt")
    parts = [(file, "train") for file in sorted(root.glob("data_batch_*.bin"))]
    tables = []
    for file, split in [*parts, (root / "test_batch.bin", "test")]:
        codes = image_io.labels(file)[:, 0]
        tables.append(records(file, split, category=named(codes, names, file)))
    rows = pd.concat(tables, ignore_index=True)
    rows = stratified_validation(rows, "category", VALID_FRACTION, seed)
    return write_images(root, out, rows, (NAME, TITLE, SOURCE, LICENCE), TASKS)
