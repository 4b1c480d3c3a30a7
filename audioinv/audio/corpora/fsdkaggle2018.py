"""FSDKaggle2018: 11,073 Freesound clips of 0.3 to 30 s, one of 41 classes each.

The labels of the published test clips are all checked by people, those of training in part: column
verified says which. No validation is published, so a tenth of training becomes it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from audioinv.audio.corpora.timed import timed
from audioinv.data.download import Download
from audioinv.data.later import pandas as pd
from audioinv.data.lists import locate, read_table, write_table
from audioinv.data.manifest import Corpus, stratified_validation
from audioinv.data.task import Task

NAME = "fsdkaggle2018"
TITLE = "FSDKaggle2018: general-purpose audio tagging"
LICENCE = "Creative Commons, each clip its own (column license of the published lists)"
SOURCE = "zenodo.org/records/2552860"
DESCRIPTION = "9,473 training and 1,600 test clips of 41 classes, part of the training labels noisy"
ACCESS = "public; 4.6 GB"
HOURS = 0.0
SAMPLE_RATE = 44100

TASKS = (Task("label", "label"),)
VALID_FRACTION = 0.1
LISTS = {
    "train": "FSDKaggle2018.meta/train_post_competition.csv",
    "test": "FSDKaggle2018.meta/test_post_competition_scoring_clips.csv",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """FSDKaggle2018 has no options."""


def downloads() -> tuple[Download, ...]:
    """The lists and the audio, without checksums: none was found to compare with."""
    address = "https://zenodo.org/records/2552860/files"
    parts = ("meta", "audio_test", "audio_train")
    names = [f"FSDKaggle2018.{part}.zip" for part in parts]
    return tuple(Download(f"{address}/{name}", name) for name in names)


def prepare(root: str | Path, out: str | Path, seed: int = 0) -> Path:
    """Writes manifest.csv and corpus.json of the clips into `out`.

    Validation is a tenth of training, even over label.

    Returns:
        the manifest's path.

    Raises:
        UserError: the corpus is not there, its lists have another form, or files cannot be read.
    """
    root = locate(root, [*LISTS.values(), "FSDKaggle2018.audio_train"], SOURCE)
    rows = pd.concat([_rows(root, split) for split in LISTS], ignore_index=True)
    frame = stratified_validation(timed(root, rows), "label", VALID_FRACTION, seed)
    corpus = Corpus(NAME, TITLE, SOURCE, LICENCE, "", SAMPLE_RATE, TASKS)
    return write_table(root, out, frame, corpus)


def _rows(root: Path, split: str) -> pd.DataFrame:
    """A list's clips; those of the test list are all verified."""
    columns = ["fname", "label", *(["manually_verified"] if split == "train" else [])]
    table = read_table(root / LISTS[split], columns)
    return pd.DataFrame(
        {
            "id": table["fname"].str.removesuffix(".wav"),
            "path": f"FSDKaggle2018.audio_{split}/" + table["fname"],
            "split": split,
            "label": table["label"],
            "verified": table["manually_verified"] if split == "train" else "1",
        }
    )
