"""Which rows of a pack are for what."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator
from audioinv.data.pack import Pack


def training_rows(pack: Pack) -> list[int]:
    """Rows to learn from without labels: all but the test split (all, where there are folds)."""
    if "split" not in pack.frame:
        return list(range(len(pack)))
    return np.flatnonzero(pack.frame["split"] != "test").tolist()


def some_training_rows(pack: Pack) -> list[int]:
    """As `training_rows`, where nothing can be done without.

    Raises:
        UserError: there are none.
    """
    rows = training_rows(pack)
    if not rows:
        raise UserError(
            f"{pack.corpus.name} has no clips to train on: all {len(pack)} are in the test part; "
            "give some of them another split"
        )
    return rows


def test_rows(pack: Pack) -> list[int]:
    """Rows of the test split (all, where there are folds)."""
    if "split" not in pack.frame:
        return list(range(len(pack)))
    return np.flatnonzero(pack.frame["split"] == "test").tolist()


def sample_rows(rows: Sequence[int], n: int, seed: int, purpose: str) -> list[int]:
    """At most `n` of `rows`, drawn by (seed, purpose)."""
    order = torch.randperm(len(rows), generator=generator(seed, purpose))[:n]
    return [rows[k] for k in order.tolist()]
