"""Oxford Pets: 7,349 photographs of cats and dogs, 37 breeds."""

from __future__ import annotations

import argparse
from pathlib import Path

from audioinv.base.errors import UserError
from audioinv.data.download import Download
from audioinv.data.later import pandas as pd
from audioinv.data.lists import files_of, locate, read_lines
from audioinv.data.manifest import stratified_validation
from audioinv.data.task import Task
from vision.corpora.images import VALID_FRACTION, write_images

NAME = "oxford_pets"
TITLE = "Oxford-IIIT Pets"
LICENCE = "CC-BY-SA-4.0"
SOURCE = "https://www.robots.ox.ac.uk/~vgg/data/pets/"
DESCRIPTION = "7,349 photographs of 37 breeds of cats and dogs; breed, and species"
ACCESS = "public; 810 MB"
IMAGES = 7349

TASKS = (Task("breed", "breed"), Task("species", "species"))
SPECIES = {"1": "cat", "2": "dog"}
LISTS = {"trainval": "train", "test": "test"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Pets has no options."""


def downloads() -> tuple[Download, ...]:
    """Images and annotations."""
    return (
        Download(f"{SOURCE}data/images.tar.gz", "images.tar.gz",
                 "md5:5c4f3ee8e5d25df40f4fd59a7f44e54c"),
        Download(f"{SOURCE}data/annotations.tar.gz", "annotations.tar.gz",
                 "md5:95a8c909bbe2e81eed6a22bccdf3f68f"),
    )  # fmt: skip


def prepare(root: str | Path, out: str | Path, seed: int = 0) -> Path:
    """Writes manifest.csv and corpus.json of the images into `out`.

    A tenth of the published trainval, even over the breeds, is for validation.

    Returns:
        the manifest's path.

    Raises:
        UserError: the corpus is not there, a list has another form, or files are missing.
    """
    lists = [f"annotations/{name}.txt" for name in LISTS]
    root = locate(root, ("images", *lists), SOURCE)
    rows = pd.DataFrame(
        [
            _row(root / file, line, part)
            for file, part in zip(lists, LISTS.values(), strict=True)
            for line in read_lines(root / file)
        ]
    )
    files_of(root, list(rows["path"]))
    rows = stratified_validation(rows, "breed", VALID_FRACTION, seed)
    return write_images(root, out, rows, (NAME, TITLE, SOURCE, LICENCE), TASKS)


def _row(file: Path, line: str, part: str) -> dict[str, str]:
    """A line is the image's name, the breed's number, the species', and the breed's within it."""
    fields = line.split()
    if len(fields) != 4 or fields[2] not in SPECIES:
        raise UserError(f"{file}: '{line}' is not 'NAME BREED SPECIES NUMBER'; unpack it again")
    return {
        "id": fields[0],
        "path": f"images/{fields[0]}.jpg",
        "split": part,
        "breed": fields[0].rpartition("_")[0],
        "species": SPECIES[fields[2]],
    }
