"""Describable Textures: 5,640 images of 47 textures, in ten published splits."""

from __future__ import annotations

import argparse
from pathlib import Path

from audioinv.base.errors import UserError
from audioinv.data.download import Download
from audioinv.data.later import pandas as pd
from audioinv.data.lists import files_of, locate, read_lines
from audioinv.data.task import Task
from vision.corpora.images import write_images

NAME = "dtd"
TITLE = "Describable Textures Dataset"
LICENCE = "for research"
SOURCE = "https://www.robots.ox.ac.uk/~vgg/data/dtd/"
DESCRIPTION = "5,640 images of 47 textures; ten splits of equal thirds, of which --split takes one"
ACCESS = "public; 600 MB"
IMAGES = 5640

TASKS = (Task("texture", "texture"),)
N_SPLITS = 10
LISTS = {"train": "train", "val": "valid", "test": "test"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `audioinv prepare dtd`."""
    parser.add_argument("--split", default=1, type=int, help="which of 1 to 10 (default 1)")


def downloads() -> tuple[Download, ...]:
    """Images and lists, in one archive."""
    url = f"{SOURCE}download/dtd-r1.0.1.tar.gz"
    return (Download(url, "dtd-r1.0.1.tar.gz", "md5:fff73e5086ae6bdbea199a49dfb8a4c1"),)


def prepare(root: str | Path, out: str | Path, seed: int = 0, split: int = 1) -> Path:
    """Writes manifest.csv and corpus.json of one split's images into `out`.

    Args:
        seed: nothing is drawn.
        split: 1 to 10; results are reported as the mean over all.

    Returns:
        the manifest's path.

    Raises:
        UserError: another split, or files are missing.
    """
    if not 1 <= split <= N_SPLITS:
        raise UserError(f"split is {split}; give 1 to {N_SPLITS}")
    root = locate(root, ("images", "labels/train1.txt"), SOURCE)
    rows = pd.DataFrame(
        [
            {
                "id": Path(name).stem,
                "path": f"images/{name}",
                "split": part,
                "texture": Path(name).parent.name,
            }
            for kind, part in LISTS.items()
            for name in read_lines(root / "labels" / f"{kind}{split}.txt")
        ]
    )
    files_of(root, list(rows["path"]))
    return write_images(root, out, rows, (NAME, TITLE, SOURCE, LICENCE), TASKS)
