"""ESC-50: 2,000 environmental sounds of five seconds, fifty classes, in five folds.

Clips of one recording share a fold: only the published folds tell how a model does on recordings
it has never heard. ESC-10 is its part of ten classes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from audioinv.audio.corpora.timed import timed
from audioinv.data.download import Download
from audioinv.data.later import pandas as pd
from audioinv.data.lists import choice, locate, read_table, write_table
from audioinv.data.manifest import Corpus
from audioinv.data.task import Task

NAME = "esc50"
TITLE = "ESC-50: environmental sound classification"
LICENCE = "CC-BY-NC-3.0 (ESC-10: CC-BY-3.0)"
SOURCE = "the public repository github.com/karolpiczak/ESC-50"
DESCRIPTION = "2,000 five-second clips of 50 classes in 5 folds, or the 400 of ESC-10"
ACCESS = "public; about 600 MB"
HOURS = 2.8
SAMPLE_RATE = 44100

TASKS = (Task("category", "category"),)
SUBSETS = ("esc50", "esc10")
COMMIT = "33c8ce9eb2cf0b1c2f8bcf322eb349b6be34dbb6"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `audioinv prepare esc50`."""
    parser.add_argument("--subset", default="esc50", choices=SUBSETS, help="default esc50")


def downloads() -> tuple[Download, ...]:
    """The repository as of its last change; GitHub's archives have no lasting checksum."""
    url = f"https://github.com/karolpiczak/ESC-50/archive/{COMMIT}.zip"
    return (Download(url, "ESC-50.zip"),)


def prepare(root: str | Path, out: str | Path, seed: int = 0, subset: str = "esc50") -> Path:
    """Writes manifest.csv and corpus.json of the clips that meta/esc50.csv lists into `out`.

    Args:
        seed: nothing is drawn.
        subset: "esc50", or "esc10" for the clips marked as such.

    Returns:
        the manifest's path.

    Raises:
        UserError: the corpus is not there, its list has another form, or files cannot be read.
    """
    choice("subset", subset, SUBSETS)
    root = locate(root, ("meta/esc50.csv", "audio"), SOURCE)
    columns = ["filename", "fold", "category", "esc10", "src_file"]
    table = read_table(root / "meta" / "esc50.csv", columns)
    if subset == "esc10":
        table = table[table["esc10"] == "True"].reset_index(drop=True)
    rows = pd.DataFrame(
        {
            "id": table["filename"].map(lambda name: Path(name).stem),
            "path": "audio/" + table["filename"],
            "fold": table["fold"],
            "category": table["category"],
            "recording": table["src_file"],
        }
    )
    corpus = Corpus(subset, TITLE, SOURCE, LICENCE, "", SAMPLE_RATE, TASKS)
    return write_table(root, out, timed(root, rows), corpus)
