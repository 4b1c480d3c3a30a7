"""CelebA: 202,599 aligned faces with five points each."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from audioinv.base.errors import UserError
from audioinv.data.download import Download
from audioinv.data.later import pandas as pd
from audioinv.data.lists import files_of, locate, read_lines
from audioinv.data.task import Task
from vision.corpora.images import joined, write_images

NAME = "celeba"
TITLE = "CelebA: five facial landmarks"
LICENCE = "for research, not commercial, by its own terms"
SOURCE = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
DESCRIPTION = "202,599 aligned faces of celebrities with five points each, in its published split"
ACCESS = (
    "after agreeing to its terms, from the Google Drive of SOURCE: img_align_celeba.zip, "
    "list_landmarks_align_celeba.txt and list_eval_partition.txt, unpacked into one folder"
)
IMAGES = 202599

TASKS = (
    Task("landmarks", "landmarks", "regression", unit="fraction of the image's width and height"),
)
IMAGE_FOLDER = "img_align_celeba"
POINTS, PARTS = "list_landmarks_align_celeba.txt", "list_eval_partition.txt"
SPLITS = {"0": "train", "1": "valid", "2": "test"}
WIDTH, HEIGHT, N_VALUES = 178, 218, 10  # of every aligned image


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """CelebA has no options."""


def downloads() -> tuple[Download, ...]:
    """Nothing: its terms, and a Google Drive, stand before the files."""
    return ()


def prepare(root: str | Path, out: str | Path, seed: int = 0) -> Path:
    """Writes manifest.parquet and corpus.json of the aligned faces into `out`.

    The points are eyes, nose and corners of the mouth, as fractions of the width and height.

    Args:
        seed: nothing is drawn.

    Returns:
        the manifest's path.

    Raises:
        UserError: the corpus is not there, a list has another form, or files are missing.
    """
    root = locate(root, (IMAGE_FOLDER, POINTS, PARTS), SOURCE)
    parts = {name: values[0] for name, values in _fields(root / PARTS, 1).items()}
    points = _fields(root / POINTS, N_VALUES, header=2)
    if unknown := [name for name in points if parts.get(name) not in SPLITS]:
        raise UserError(
            f"{root / PARTS} puts {len(unknown)} images of {POINTS} into no part, such as "
            f"{unknown[0]}; download it again"
        )
    pixels = np.array([[float(v) for v in values] for values in points.values()])
    fractions = pixels.reshape(len(pixels), -1, 2) / (WIDTH, HEIGHT)
    rows = pd.DataFrame(
        {
            "id": [Path(name).stem for name in points],
            "path": [f"{IMAGE_FOLDER}/{name}" for name in points],
            "split": [SPLITS[parts[name]] for name in points],
            "landmarks": joined(fractions),
        }
    )
    files_of(root, list(rows["path"]))
    return write_images(root, out, rows, (NAME, TITLE, SOURCE, LICENCE), TASKS, ".parquet")


def _fields(file: Path, count: int, header: int = 0) -> dict[str, list[str]]:
    """Name -> its `count` whole numbers, as texts, of every line below `header` lines."""
    found = {}
    for line in read_lines(file)[header:]:
        name, *values = line.split()
        if len(values) != count or not all(value.lstrip("-").isdigit() for value in values):
            raise UserError(f"{file}: '{line}' is no name and {count} numbers; download it again")
        found[name] = values
    return found
