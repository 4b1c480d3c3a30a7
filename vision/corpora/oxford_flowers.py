"""Oxford Flowers: 8,189 photographs of 102 kinds, with ten of each to train on."""

from __future__ import annotations

import argparse
from pathlib import Path

from audioinv.base.errors import UserError
from audioinv.data.download import Download
from audioinv.data.later import pandas as pd
from audioinv.data.lists import files_of, locate
from audioinv.data.task import Task
from vision.corpora.images import read_mat, write_images

NAME = "oxford_flowers"
TITLE = "Oxford 102 Flowers"
LICENCE = "none stated; cite Nilsback and Zisserman (2008)"
SOURCE = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"
DESCRIPTION = "8,189 photographs of 102 flowers: 1,020 train, 1,020 validate, 6,149 test"
ACCESS = "public; 345 MB"
IMAGES = 8189

TASKS = (Task("flower", "flower"),)
SETS = {"trnid": "train", "valid": "valid", "tstid": "test"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flowers has no options."""


def downloads() -> tuple[Download, ...]:
    """The images, their labels and the split."""
    return (
        Download(f"{SOURCE}102flowers.tgz", "102flowers.tgz",
                 "md5:52808999861908f626f3c1f4e79d11fa"),
        Download(f"{SOURCE}imagelabels.mat", "imagelabels.mat",
                 "md5:e0620be6f572b9609742df49c70aed4d", unpack=False),
        Download(f"{SOURCE}setid.mat", "setid.mat",
                 "md5:a5357ecc9cb78c4bef273ce3793fc85c", unpack=False),
    )  # fmt: skip


def prepare(root: str | Path, out: str | Path, seed: int = 0) -> Path:
    """Writes manifest.csv and corpus.json of the images into `out`.

    A flower is called by its published number, "001" to "102": names are not among the files.

    Args:
        seed: nothing is drawn.

    Returns:
        the manifest's path.

    Raises:
        UserError: the corpus is not there, or files are missing or cannot be read.
    """
    root = locate(root, ("jpg", "imagelabels.mat", "setid.mat"), SOURCE)
    labels = read_mat(root / "imagelabels.mat", "labels").ravel()
    numbers = {part: read_mat(root / "setid.mat", name).ravel() for name, part in SETS.items()}
    last = max((int(found.max(initial=0)) for found in numbers.values()), default=0)
    if last > len(labels):
        raise UserError(
            f"{root / 'setid.mat'} lists image {last}, imagelabels.mat has {len(labels)} labels; "
            "download them again"
        )
    rows = pd.DataFrame(
        [
            {
                "id": f"image_{number:05d}",
                "path": f"jpg/image_{number:05d}.jpg",
                "split": part,
                "flower": f"{int(labels[number - 1]):03d}",
            }
            for part, found in numbers.items()
            for number in sorted(map(int, found))
        ]
    )
    files_of(root, list(rows["path"]))
    return write_images(root, out, rows, (NAME, TITLE, SOURCE, LICENCE), TASKS)
