"""Watkins Marine Mammal Sound Database, best of cuts: 1,697 cuts of 32 species, 1940s to 2000s.

The split is that of BEANS (Hagiwara et al., ICASSP 2023), the benchmark that fixed one: six to two
to two, even over species, without the Weddell seal's two cuts. It parts cuts of one tape: `tape`,
the first five characters of a cut's number, is the source recording. Sample rates differ.
"""

from __future__ import annotations

import argparse
from pathlib import Path, PurePosixPath

import numpy as np

from audioinv.audio.corpora.timed import timed
from audioinv.base.errors import UserError
from audioinv.data.download import Download
from audioinv.data.later import pandas as pd
from audioinv.data.lists import locate, read_table, write_table
from audioinv.data.manifest import Corpus
from audioinv.data.task import Task

NAME = "watkins"
TITLE = "Watkins Marine Mammal Sound Database, best of cuts"
LICENCE = (
    "free for personal and academic, not for commercial use; credit the database, see its site"
)
SOURCE = "https://archive.org/details/watkins_202104"
DESCRIPTION = "1,695 cuts of 31 species of whales, dolphins and seals; species, of unseen tapes too"
ACCESS = "public: a copy by the Earth Species Project at archive.org of https://cis.whoi.edu's cuts"
HOURS = 4.0  # "over 4 hours"
SAMPLE_RATE = 0  # they differ

TASKS = (
    Task("species", "species"),
    Task("species_unseen_tape", "species", groups="tape"),
)

LIST = "annotations.csv"
LEFT_OUT = "Weddell_Seal"  # has two cuts, too few to split
BEANS_SEED = 42


def downloads() -> tuple[Download, ...]:
    """The archive of all cuts and their list."""
    url = "https://archive.org/download/watkins_202104/watkins.zip"
    return (Download(url, "watkins.zip", "md5:afef4877fb0b91c9952a68e436707179"),)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Watkins has no options."""


def prepare(root: str | Path, out: str | Path, seed: int = 0) -> Path:
    """Writes manifest.csv and corpus.json of the cuts under `root` into `out`.

    Args:
        seed: changes nothing: BEANS' is used.

    Returns:
        the manifest's path.

    Raises:
        UserError: annotations.csv is not there or has fewer than five cuts of a species, or files
            are missing or cannot be read.
    """
    root = locate(root, LIST, SOURCE)
    table = read_table(root / LIST, ["path", "species"])
    table = table[table["species"] != LEFT_OUT].reset_index(drop=True)
    few = table["species"].value_counts()
    if len(few) == 0 or few.min() < 5:
        raise UserError(
            f"{root / LIST} lists fewer than 5 cuts of {few.index[-1] if len(few) else 'anything'}:"
            f" too few to split; take the file of the archive at {SOURCE}"
        )
    rows = timed(root, _rows(table, _beans_split(table["species"])))
    rate = int(rows["sample_rate"].mode()[0])
    corpus = Corpus(NAME, TITLE, SOURCE, LICENCE, "", rate, TASKS)
    return write_table(root, out, rows, corpus)


def _rows(table: pd.DataFrame, split: list[str]) -> pd.DataFrame:
    cuts = [PurePosixPath(path) for path in table["path"]]
    return pd.DataFrame(
        {
            "id": [str(cut.with_suffix("")) for cut in cuts],  # a cut can be of two species
            "path": table["path"],
            "split": split,
            "species": table["species"].str.replace("_", " "),
            "tape": [cut.stem[:5] for cut in cuts],
        }
    )


def _beans_split(species: pd.Series) -> list[str]:
    """The split of BEANS' script: a function of the list's order and of scikit-learn's draw."""
    from sklearn.model_selection import train_test_split  # slow to import

    rows = np.arange(len(species))
    _, rest = train_test_split(
        rows, test_size=0.4, random_state=BEANS_SEED, shuffle=True, stratify=species
    )
    valid, test = train_test_split(
        rest, test_size=0.5, random_state=BEANS_SEED, shuffle=True, stratify=species[rest]
    )
    names = np.full(len(species), "train", dtype=object)
    names[valid], names[test] = "valid", "test"
    return [str(name) for name in names]
