"""FSD50K: 51,197 Freesound clips of 0.3 to 30 s; each has any number of 200 sound classes.

The published split: development, itself split into training and validation, and evaluation. The
audio comes as zips in parts, which are joined when they are unpacked.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from audioinv.audio.corpora.timed import timed
from audioinv.base.errors import UserError
from audioinv.data.download import Download
from audioinv.data.later import pandas as pd
from audioinv.data.lists import locate, read_table, write_table
from audioinv.data.manifest import Corpus
from audioinv.data.task import Task

NAME = "fsd50k"
TITLE = "FSD50K: Freesound events, 200 classes"
LICENCE = "CC-BY-4.0; each clip its own: CC0, CC-BY, CC-BY-NC or CC Sampling+"
SOURCE = "zenodo.org/records/4060432"
DESCRIPTION = "51,197 clips with any number of 200 event classes; published train, valid and test"
ACCESS = "public; 25 GB, and as much again unpacked"
HOURS = 108.3
SAMPLE_RATE = 44100

TASKS = (Task("events", "events", "multilabel"),)
SPLITS = {"train": "train", "val": "valid"}

MD5 = {
    "FSD50K.ground_truth.zip": "ca27382c195e37d2269c4c866dd73485",
    "FSD50K.dev_audio.z01": "faa7cf4cc076fc34a44a479a5ed862a3",
    "FSD50K.dev_audio.z02": "8f9b66153e68571164fb1315d00bc7bc",
    "FSD50K.dev_audio.z03": "1196ef47d267a993d30fa98af54b7159",
    "FSD50K.dev_audio.z04": "d088ac4e11ba53daf9f7574c11cccac9",
    "FSD50K.dev_audio.z05": "81356521aa159accd3c35de22da28c7f",
    "FSD50K.dev_audio.zip": "c480d119b8f7a7e32fdb58f3ea4d6c5a",
    "FSD50K.eval_audio.z01": "3090670eaeecc013ca1ff84fe4442aeb",
    "FSD50K.eval_audio.zip": "6fa47636c3a3ad5c7dfeba99f2637982",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """FSD50K has no options."""


def downloads() -> tuple[Download, ...]:
    """The labels and the parts of the two archives, each with its published checksum."""
    address = "https://zenodo.org/records/4060432/files"
    return tuple(
        Download(f"{address}/{name}", name, f"md5:{md5}", unpack=name.endswith(".zip"))
        for name, md5 in MD5.items()
    )


def prepare(root: str | Path, out: str | Path, seed: int = 0) -> Path:
    """Writes manifest.csv and corpus.json of both parts into `out`; events are joined by ";".

    Args:
        seed: nothing is drawn.

    Returns:
        the manifest's path.

    Raises:
        UserError: the corpus is not there, its lists have another form, or files cannot be read.
    """
    wanted = ("FSD50K.ground_truth/dev.csv", "FSD50K.dev_audio", "FSD50K.eval_audio")
    root = locate(root, wanted, SOURCE)
    folder = root / "FSD50K.ground_truth"
    dev = read_table(folder / "dev.csv", ["fname", "labels", "split"])
    if odd := sorted(set(dev["split"]) - set(SPLITS)):
        raise UserError(f"{folder / 'dev.csv'}: split is '{odd[0]}'; expected train or val")
    test = read_table(folder / "eval.csv", ["fname", "labels"])
    rows = [_rows(dev, "dev", dev["split"].replace(SPLITS)), _rows(test, "eval", "test")]
    corpus = Corpus(NAME, TITLE, SOURCE, LICENCE, "", SAMPLE_RATE, TASKS)
    return write_table(root, out, timed(root, pd.concat(rows, ignore_index=True)), corpus)


def _rows(table: pd.DataFrame, part: str, split: pd.Series | str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": table["fname"],
            "path": f"FSD50K.{part}_audio/" + table["fname"] + ".wav",
            "split": split,
            "events": table["labels"].str.replace(",", ";", regex=False),
        }
    )
