"""Manifests of images: an index in place of a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from audioinv.base.errors import UserError
from audioinv.data.manifest import Corpus, read_manifest, write_manifest
from audioinv.data.task import Task
from audioinv.data.validate import MILD, validate


def write_image(path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(path)


CORPUS = Corpus(
    "tiny", "Tiny corpus", "made here", "CC0-1.0", ".", 0, (Task("kind", "kind"),), "image"
)


def table(**columns: Any) -> pd.DataFrame:
    values = {
        "id": [f"clip{i}" for i in range(4)],
        "path": [f"{i}.png" for i in range(4)],
        "index": range(4),
        "split": ["train", "train", "valid", "test"],
        "kind": ["dog", "cat"] * 2,
    }
    return pd.DataFrame({**values, **columns})


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_images_have_an_index_instead_of_a_time(tmp_path: Path, ending: str) -> None:
    manifest = read_manifest(write_manifest(tmp_path, table(), CORPUS, ending))
    assert manifest.corpus == CORPUS
    assert manifest.frame["index"].tolist() == [0, 1, 2, 3]
    assert manifest.frame["index"].dtype == "int64"
    assert "start" not in manifest.frame


def test_a_bad_index_is_told(tmp_path: Path) -> None:
    frame = table(index=["0", "-1", "1.5", "first"])
    with pytest.raises(UserError, match="3 problem") as caught:
        write_manifest(tmp_path, frame, CORPUS)
    told = str(caught.value)
    assert "index" in told and "'first'" in told and "0 or more" in told
    with pytest.raises(UserError, match="column index"):
        write_manifest(tmp_path, frame.drop(columns="index"), CORPUS)


def test_a_label_may_have_the_name_of_a_column_of_sounds(tmp_path: Path) -> None:
    read = read_manifest(write_manifest(tmp_path, table(duration="long"), CORPUS)).frame
    assert read["duration"].tolist() == ["long"] * 4


def test_images_of_one_colour_are_no_leakage_of_one_another(tmp_path: Path) -> None:
    for k in range(4):
        write_image(tmp_path / f"{k}.png", np.full((8, 8, 3), 40 * (k // 3), np.uint8))
    found = validate(read_manifest(write_manifest(tmp_path, table(index=0), CORPUS)))
    assert [problem.kind for problem in found] == ["blank"] * 4 and found[0].kind in MILD
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    for k in range(4):
        write_image(tmp_path / f"{k}.png", noise)
    found = validate(read_manifest(tmp_path))
    assert [problem.kind for problem in found] == ["leakage"] * 2  # of valid and test
