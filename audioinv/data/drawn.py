"""What corpora of drawn factors share: parts of given sizes, and no file but the manifest."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

from audioinv.base.errors import UserError
from audioinv.data.later import pandas as pd
from audioinv.data.manifest import Corpus, write_manifest


def add_sizes(parser: argparse.ArgumentParser, sizes: Mapping[str, int], clips: str) -> None:
    """The options --n_SPLIT with their defaults; `clips` is what help calls a split's clips."""
    words = {"train": "training", "valid": "validation", "test": "test"}
    for split, n in sizes.items():
        parser.add_argument(f"--n_{split}", type=int, default=n, help=f"{words[split]} {clips}")


def write_drawn(
    out: str | Path,
    corpus: Corpus,
    sizes: Mapping[str, int],
    part: Callable[[str, int], pd.DataFrame],
) -> Path:
    """Writes manifest.parquet and corpus.json into `out`.

    Args:
        part: columns of factors and labels of a split's n clips. A split drawn from a key of its
            own does not depend on the size of another.

    Returns:
        the manifest's path.

    Raises:
        UserError: a split without clips.
    """
    for split, n in sizes.items():
        if n < 1:
            raise UserError(f"n_{split} is {n}; give 1 or more")
    frames = [
        part(split, n).assign(
            id=[f"{split}-{index:06d}" for index in range(n)], path="corpus.json", split=split
        )
        for split, n in sizes.items()
    ]
    return write_manifest(out, pd.concat(frames, ignore_index=True), corpus, ".parquet")
