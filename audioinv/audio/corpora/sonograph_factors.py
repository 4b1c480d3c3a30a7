"""Sonograph as the audio Spirograph: tones that are never stored, only their factors.

The front end of the modality `sonograph` synthesises them, so an augmentation can render the same
targets with other nuisances, and a gradient leads to every one of them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from audioinv.data.download import Download
from audioinv.data.drawn import add_sizes, write_drawn
from audioinv.data.later import pandas as pd
from audioinv.data.manifest import Corpus
from audioinv.data.task import Task

NAME = "sonograph_factors"
TITLE = "Sonograph, as factors that are rendered anew"
LICENCE = "CC0-1.0"
SOURCE = "rendered by audioinv; nothing to download"
DESCRIPTION = (
    "8,000 / 1,000 / 2,000 tones; pitch, tilt, onset and decay are told from nine nuisances"
)
ACCESS = "made, not fetched: 'audioinv prepare sonograph_factors' draws its factors"
HOURS = 0.0
SAMPLE_RATE = 0
MODALITY = "sonograph"

TARGETS = ("pitch", "tilt", "onset", "decay")
CONSTANT = ("vibrato_depth", "vibrato_rate")
TASKS = (
    *(Task(n, f"{n}_in_range", "regression", unit="of its range", metric="mse") for n in TARGETS),
    Task("all_four", "targets", "regression", unit="of their ranges", metric="mse"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `audioinv prepare sonograph_factors`."""
    add_sizes(parser, {"train": 8000, "valid": 1000, "test": 2000}, "tones")


def downloads() -> tuple[Download, ...]:
    """Nothing: `prepare` draws the factors."""
    return ()


def prepare(
    root: str | Path,
    out: str | Path,
    seed: int = 0,
    n_train: int = 8000,
    n_valid: int = 1000,
    n_test: int = 2000,
) -> Path:
    """Writes manifest.parquet and corpus.json into `out`; the same seed gives the same factors.

    All factors vary but vibrato, which is off. A target is its place in its range, along its scale,
    from 0 to 1: errors of all four can be compared.

    Args:
        root: not used, since there are no files.

    Returns:
        the manifest's path.

    Raises:
        UserError: a part without tones.
    """
    corpus = Corpus(NAME, TITLE, SOURCE, LICENCE, ".", 0, TASKS, MODALITY)
    sizes = {"train": n_train, "valid": n_valid, "test": n_test}
    return write_drawn(out, corpus, sizes, lambda split, n: _part(split, n, seed))


def _part(split: str, n: int, seed: int) -> pd.DataFrame:
    """A split's factors, and the targets' places in their ranges."""
    from audioinv.audio.synthesis import PLACED as factors
    from audioinv.base.randomness import generator
    from audioinv.data.factors import draw

    varied = [name for name in factors if name not in CONSTANT]
    drawn = draw(factors, n, generator(seed, NAME, split), varied)
    table = pd.DataFrame({name: drawn[name].double().numpy() for name in factors})
    places = {f"{k}_in_range": factors[k].to_uniform(drawn[k]).double().numpy() for k in TARGETS}
    labels = pd.DataFrame(places).round(6)
    labels["targets"] = labels.astype(str).agg(";".join, axis=1)
    return pd.concat([table.round(6), labels], axis=1)
