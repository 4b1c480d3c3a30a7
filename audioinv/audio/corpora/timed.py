"""Manifests of sounds: durations and sample rates read from the files."""

from __future__ import annotations

from pathlib import Path

from audioinv.audio.io import probe
from audioinv.data.later import pandas as pd
from audioinv.data.lists import probed


def timed(root: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """`rows` (with id and path) with start 0, duration and sample_rate of each whole file.

    Without those whose files cannot be read, where `audioinv prepare` was told to leave them out.

    Raises:
        UserError: files are missing, cannot be read or lie outside the root.
    """
    rows, infos = probed(root, rows, probe)
    first = rows[["id", "path"]].assign(
        start=0.0,
        duration=[info.frames / info.sample_rate for info in infos],
        sample_rate=[info.sample_rate for info in infos],
    )
    return pd.concat([first, rows.drop(columns=["id", "path"])], axis=1)
