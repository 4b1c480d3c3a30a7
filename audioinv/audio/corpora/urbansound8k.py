"""UrbanSound8K: 8,732 excerpts of up to four seconds of ten city sounds, in ten folds.

Excerpts of one recording share a fold, so only the published folds may be used. Rates and channels
are as people uploaded them, most 44.1 kHz.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from audioinv.audio.corpora.timed import timed
from audioinv.data.download import Download
from audioinv.data.later import pandas as pd
from audioinv.data.lists import locate, read_table, write_table
from audioinv.data.manifest import Corpus
from audioinv.data.task import Task

NAME = "urbansound8k"
TITLE = "UrbanSound8K"
LICENCE = "CC-BY-NC-4.0"
SOURCE = "zenodo.org/records/1203745"
DESCRIPTION = "8,732 excerpts of up to 4 s of ten city sounds in 10 folds; class and salience"
ACCESS = "public; 6.0 GB"
HOURS = 8.75
SAMPLE_RATE = 44100

TASKS = (Task("class", "class"), Task("salience", "salience"))
SALIENCE = {"1": "foreground", "2": "background"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """UrbanSound8K has no options."""


def downloads() -> tuple[Download, ...]:
    """One archive, with its published checksum."""
    return (
        Download(
            "https://zenodo.org/records/1203745/files/UrbanSound8K.tar.gz",
            "UrbanSound8K.tar.gz",
            "md5:9aa69802bbf37fb986f71ec1483a196e",
        ),
    )


def prepare(root: str | Path, out: str | Path, seed: int = 0) -> Path:
    """Writes manifest.csv and corpus.json of the excerpts into `out`.

    Column recording is the Freesound number of the recording that an excerpt is cut from.

    Args:
        seed: nothing is drawn.

    Returns:
        the manifest's path.

    Raises:
        UserError: the corpus is not there, its list has another form, or files cannot be read.
    """
    root = locate(root, ("metadata/UrbanSound8K.csv", "audio"), SOURCE)
    columns = ["slice_file_name", "fsID", "salience", "fold", "class"]
    table = read_table(root / "metadata" / "UrbanSound8K.csv", columns)
    rows = pd.DataFrame(
        {
            "id": table["slice_file_name"].str.removesuffix(".wav"),
            "path": "audio/fold" + table["fold"] + "/" + table["slice_file_name"],
            "fold": table["fold"],
            "class": table["class"],
            "salience": table["salience"].replace(SALIENCE),
            "recording": table["fsID"],
        }
    )
    corpus = Corpus(NAME, TITLE, SOURCE, LICENCE, "", SAMPLE_RATE, TASKS)
    return write_table(root, out, timed(root, rows), corpus)
