"""GTZAN: half a minute of a thousand pieces of music, ten genres; 930 of them are used.

The collection has pieces twice, other takes of the same, and artists on both sides of any random
split. The fault-filtered split leaves the repeats out and keeps artists apart. The copy that Kaggle
spreads has a damaged jazz.00054.wav.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from audioinv.audio.corpora.timed import timed
from audioinv.data.download import Download
from audioinv.data.later import pandas as pd
from audioinv.data.lists import locate, write_table
from audioinv.data.manifest import Corpus
from audioinv.data.task import Task

NAME = "gtzan"
TITLE = "GTZAN genre collection"
LICENCE = "none stated; for research"
SOURCE = "huggingface.co/datasets/marsyas/gtzan (its first home, marsyas.info, is gone)"
DESCRIPTION = "930 pieces of 30 s, ten genres, in the fault-filtered split of 443, 197 and 290"
ACCESS = "public; 1.2 GB"
HOURS = 8.3
SAMPLE_RATE = 22050

TASKS = (Task("genre", "genre"),)

# Numbers of the fault-filtered split, published by Kereliuk, Sturm and Larsen (2015).
FILTERED: dict[str, dict[str, str]] = {
    "train": {
        "blues": "29-49 73-97",
        "classical": "30-33 43-48 50-67 80-99",
        "country": "19-26 28-29 65-99",
        "disco": "5 15-20 22-37 39-45 47 49 53-54 56-57 59 61 70 73-74 89",
        "hiphop": "2-25 28-29 31-38 41-42 55-61 77-80",
        "jazz": "0-1 11-24 41 47-72",
        "metal": "2-3 5 21 24 35 46-57 59-66 69 71-72 79-80 84 86 89-99",
        "pop": "2-9 11-12 16-20 23-29 31-36 38-42 44 46 49-50 80 97-99",
        "reggae": "0-2 4 6 9 11-12 14-32 42-45 49-51 54-60 63 69",
        "rock": "0-9 16-26 57-70 91-99",
    },
    "valid": {
        "blues": "0-11 50-60",
        "classical": "0-10 68-76",
        "country": "0-7 9-18 27 41-42 45 49",
        "disco": "0 2-4 6-14 46 48 52 67-68 72 75 90 95",
        "hiphop": "81-98",
        "jazz": "2-10 25-32",
        "metal": "0-1 6-11 16-20 36-37 68 76-77 81-82",
        "pop": "10 53 55 58-62 81 83-86",
        "reggae": "61-62 70 72 74 76-78 85 92-99",
        "rock": "38 49-56 71-85",
    },
    "test": {
        "blues": "12-28 61-72 98-99",
        "classical": "11-29 34-41 49 77-79",
        "country": "30-40 43-44 46-48 50-51 53-64",
        "disco": "1 21 58 62-66 69 76-88 91-94 96-97 99",
        "hiphop": "0 26-27 30 40 43-45 51-54 62-75 99",
        "jazz": "73-99",
        "metal": "12-15 22-23 25-33 38-39 67 70 73-75 78 83 85 87-88",
        "pop": "0-1 13-14 43 63-66 69-79 82 88-96",
        "reggae": "34-40 46-48 52-53 64-68 71 79 82-84 87-90",
        "rock": "10-15 27-37 39-48 86-90",
    },
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """GTZAN has no options."""


def downloads() -> tuple[Download, ...]:
    """One archive; its checksum is of the copy named in SOURCE."""
    return (
        Download(
            "https://huggingface.co/datasets/marsyas/gtzan/resolve/main/data/genres.tar.gz",
            "genres.tar.gz",
            "sha256:b28cc067ff6199bd826f5d1a6931458586d64acae7f44b2e882b7a97af057531",
        ),
    )


def prepare(root: str | Path, out: str | Path, seed: int = 0) -> Path:
    """Writes manifest.csv and corpus.json of the 930 pieces of the split into `out`.

    The audio is genres/<genre>/<genre>.<number>.wav under `root`, or .au as first published.

    Args:
        seed: nothing is drawn.

    Returns:
        the manifest's path.

    Raises:
        UserError: the corpus is not there, or files are missing or cannot be read.
    """
    root = locate(root, [f"{genre}/{genre}.*" for genre in FILTERED["test"]], SOURCE)
    ending = "au" if (root / "blues" / "blues.00000.au").is_file() else "wav"
    rows = [
        {"id": name, "path": f"{genre}/{name}.{ending}", "split": split, "genre": genre}
        for split, genres in FILTERED.items()
        for genre, numbers in genres.items()
        for name in (f"{genre}.{number:05d}" for number in _numbers(numbers))
    ]
    corpus = Corpus(NAME, TITLE, SOURCE, LICENCE, "", SAMPLE_RATE, TASKS)
    return write_table(root, out, timed(root, pd.DataFrame(rows)), corpus)


def _numbers(ranges: str) -> list[int]:
    """The numbers of "0-2 5": 0, 1, 2, 5."""
    found: list[int] = []
    for part in ranges.split():
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found
