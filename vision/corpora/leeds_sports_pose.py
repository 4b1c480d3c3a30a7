"""Leeds Sports Pose: 2,000 photographs of people at sports, with fourteen joints each."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from audioinv.base.errors import UserError
from audioinv.data.download import Download
from audioinv.data.later import pandas as pd
from audioinv.data.lists import locate
from audioinv.data.manifest import stratified_validation
from audioinv.data.task import Task
from vision.corpora.images import VALID_FRACTION, landmarks, read_mat, write_images

NAME = "leeds_sports_pose"
TITLE = "Leeds Sports Pose"
LICENCE = "none stated; cite Johnson and Everingham (2010)"
SOURCE = "http://sam.johnson.io/research/lsp.html"
DESCRIPTION = "2,000 photographs of people at sports with 14 joints; the first half to train on"
ACCESS = (
    "its address, sam.johnson.io/research/lsp_dataset.zip, has no encryption and no published "
    "checksum, so fetch it yourself and unpack it: images/im0001.jpg ... beside joints.mat"
)
IMAGES = 2000

N_JOINTS = 14
TASKS = (Task("joints", "joints", "regression", unit="fraction of the image's width and height"),)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Leeds Sports Pose has no options."""


def downloads() -> tuple[Download, ...]:
    """Nothing: what comes unencrypted and unchecked is not fetched."""
    return ()


def prepare(root: str | Path, out: str | Path, seed: int = 0) -> Path:
    """Writes manifest.csv and corpus.json of the photographs into `out`.

    The first half trains, the second tests, as published; a tenth of the first is for validation.
    Joints are given as fractions of the image's width and height, also where they are hidden.

    Returns:
        the manifest's path.

    Raises:
        UserError: the corpus is not there, or files are missing or damaged.
    """
    root = locate(root, ("images", "joints.mat"), SOURCE)
    joints = read_mat(root / "joints.mat", "joints")
    if joints.ndim != 3 or joints.shape[:2] != (3, N_JOINTS) or not np.isfinite(joints[:2]).all():
        raise UserError(
            f"{root / 'joints.mat'}: joints are {joints.shape}, not (3, {N_JOINTS}, images); "
            "unpack the corpus again"
        )
    points = joints[:2].transpose(2, 1, 0)  # the third row tells which are hidden
    names = [f"im{k:04d}" for k in range(1, len(points) + 1)]
    paths = [f"images/{name}.jpg" for name in names]
    halves = np.where(np.arange(len(names)) < len(names) // 2, "train", "test")
    rows = pd.DataFrame(
        {"id": names, "path": paths, "split": halves, "joints": landmarks(root, paths, points)}
    )
    rows = stratified_validation(rows, [], VALID_FRACTION, seed)
    return write_images(root, out, rows, (NAME, TITLE, SOURCE, LICENCE), TASKS)
