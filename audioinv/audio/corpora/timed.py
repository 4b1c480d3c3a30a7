"""Manifests of sounds: durations and sample rates read from the files."""

from __future__ import annotations

from pathlib import Path

from audioinv.audio.io import probe_all
from audioinv.data.later import pandas as pd
from audioinv.data.lists import (
    files_of,
)


def timed(root: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """`rows` (with id and path) with start 0, duration and sample_rate of each whole file.

    Raises:
        UserError: files are missing, cannot be read or lie outside the root.
    """
    infos = probe_all(files_of(root, list(rows["path"])))
    first = rows[["id", "path"]].assign(
        start=0.0,
        duration=[info.frames / info.sample_rate for info in infos],
        sample_rate=[info.sample_rate for info in infos],
    )
    return pd.concat([first, rows.drop(columns=["id", "path"])], axis=1)
