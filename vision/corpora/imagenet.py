"""ImageNet (ILSVRC 2012), or some of its classes, such as ImageNet-100.

data_manifests/imagenet100/classes.txt is the hundred of Tian, Krishnan and Isola (Contrastive
Multiview Coding, ECCV 2020), as their public repository HobbitLong/CMC lists them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from audioinv.base.errors import UserError
from audioinv.data.download import Download
from audioinv.data.later import pandas as pd
from audioinv.data.lists import locate, read_lines
from audioinv.data.manifest import stratified_validation
from audioinv.data.task import Task
from audioinv.data.walk import seen
from vision.corpora.images import write_images
from vision.io import ENDINGS

NAME = "imagenet"
TITLE = "ImageNet (ILSVRC 2012)"
LICENCE = "for non-commercial research and education, by its own terms"
SOURCE = "https://www.image-net.org/download.php"
DESCRIPTION = "1.3 million photographs of 1,000 classes, or of those that --classes lists"
ACCESS = (
    "after a login at image-net.org: unpack it to train/CLASS/*.JPEG and val/CLASS/*.JPEG, "
    "sorting the validation images, which come in one folder, into those of their classes"
)
IMAGES = 1331167

TASKS = (Task("category", "category"),)
VALID_FRACTION = 0.04  # some 50 images a class, as many as test


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `audioinv prepare imagenet`."""
    parser.add_argument(
        "--classes",
        default="",
        metavar="FILE",
        help="list of class folders, one a line (default all), for example "
        "data_manifests/imagenet100/classes.txt",
    )


def downloads() -> tuple[Download, ...]:
    """Nothing: there is a login before the files."""
    return ()


def prepare(root: str | Path, out: str | Path, seed: int = 0, classes: str = "") -> Path:
    """Writes manifest.parquet and corpus.json of the images into `out`.

    The published validation images are for testing; a 25th of the training images, even over the
    classes, is for validation.

    Args:
        classes: file that lists class folders, one a line; "" takes all.

    Returns:
        the manifest's path.

    Raises:
        UserError: the corpus is not there, or lacks a class; the list is missing or empty.
    """
    root = locate(root, ("train", "val"), SOURCE)
    wanted = _listed(classes) if classes else _folders(root / "train")
    rows = pd.concat(
        [
            _rows(root, folder, split, wanted)
            for folder, split in (("train", "train"), ("val", "test"))
        ],
        ignore_index=True,
    )
    rows = stratified_validation(rows, "category", VALID_FRACTION, seed)
    name = f"{NAME}{len(wanted)}" if classes else NAME
    return write_images(root, out, rows, (name, TITLE, SOURCE, LICENCE), TASKS, ".parquet")


def _folders(folder: Path) -> list[str]:
    return [path.name for path in seen(folder, "*") if path.is_dir()]


def _listed(file: str) -> list[str]:
    wanted = sorted({line.split()[0] for line in read_lines(file)})
    if not wanted:
        raise UserError(f"{file} lists no classes; give one a line")
    return wanted


def _rows(root: Path, folder: str, split: str, wanted: list[str]) -> pd.DataFrame:
    """The images of the wanted classes in train or val."""
    found = {name: _images(root / folder / name) for name in wanted}
    if empty := [name for name in wanted if not found[name]]:
        raise UserError(
            f"{len(empty)} of {len(wanted)} classes have no images in {root / folder}, such as "
            f"{empty[0]}; each class needs a folder of its own there"
        )
    paths = [f"{folder}/{name}/{image}" for name in wanted for image in found[name]]
    labels = [name for name in wanted for _ in found[name]]
    ids = [path.rpartition(".")[0] for path in paths]
    return pd.DataFrame({"id": ids, "path": paths, "split": split, "category": labels})


def _images(folder: Path) -> list[str]:
    """Names of the images in a folder; none where there is no such folder."""
    files = seen(folder, "*") if folder.is_dir() else ()
    return sorted(file.name for file in files if file.suffix.lower() in ENDINGS)
