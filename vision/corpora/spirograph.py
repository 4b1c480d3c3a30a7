"""Spirograph: the second data set of InvCLR, made from a seed and never stored as images.

The manifest holds factors; the front end of the modality `spirograph` draws them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from audioinv.data.download import Download
from audioinv.data.drawn import add_sizes, write_drawn
from audioinv.data.later import pandas as pd
from audioinv.data.manifest import Corpus
from audioinv.data.task import Task

NAME = "spirograph"
TITLE = "Spirograph: drawings with known factors"
LICENCE = "CC0-1.0"
SOURCE = "drawn by audioinv after Foster, Pukdee and Rainforth (ICLR 2021); nothing to download"
DESCRIPTION = (
    "100,000 / 5,000 / 20,000 hypotrochoids; m, b, sigma and red are told from six nuisances"
)
ACCESS = "made, not fetched: 'audioinv prepare spirograph' draws its factors"
IMAGES = 125000

TASKS = (
    *(Task(n, n, "regression", metric="mse") for n in ("m", "b", "sigma", "foreground_red")),
    Task("all_four", "targets", "regression", metric="mse"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `audioinv prepare spirograph`."""
    add_sizes(parser, {"train": 100000, "valid": 5000, "test": 20000}, "images")


def downloads() -> tuple[Download, ...]:
    """Nothing: `prepare` draws the factors."""
    return ()


def prepare(
    root: str | Path,
    out: str | Path,
    seed: int = 0,
    n_train: int = 100000,
    n_valid: int = 5000,
    n_test: int = 20000,
) -> Path:
    """Writes manifest.parquet and corpus.json into `out`; the same seed gives the same factors.

    The paper has no validation images; ours are further ones, so that nothing is taken from the
    training set.

    Args:
        root: not used, since there are no files.

    Returns:
        the manifest's path.

    Raises:
        UserError: a part without images.
    """
    corpus = Corpus(NAME, TITLE, SOURCE, LICENCE, ".", 0, TASKS, NAME)
    sizes = {"train": n_train, "valid": n_valid, "test": n_test}
    return write_drawn(out, corpus, sizes, lambda split, n: _part(split, n, seed))


def _part(split: str, n: int, seed: int) -> pd.DataFrame:
    """A split's factors, and the four targets once more as one label."""
    from audioinv.base.randomness import generator
    from audioinv.data.factors import draw
    from vision.drawing import FACTORS, TARGETS

    drawn = draw(FACTORS, n, generator(seed, NAME, split))
    factors = pd.DataFrame({name: drawn[name].double().numpy() for name in FACTORS}).round(6)
    targets = factors[list(TARGETS)].astype(str).agg(";".join, axis=1)
    return factors.assign(targets=targets)
