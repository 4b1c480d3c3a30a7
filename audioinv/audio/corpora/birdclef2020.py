"""BirdCLEF 2020, pruned as in MetaAudio: bird recordings of xeno-canto, one species a folder.

MetaAudio (Heggan et al., ICANN 2022) leaves out recordings of more than 180 s, then species of
fewer than 50 others: 715 of 960 species, 63,364 of 72,305 recordings. The challenge's test is on
soundscapes, so the split over recordings is drawn here. MetaAudio's class lists are pickled, which
we do not read: episodes draw their own classes, in the same shares.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from audioinv.audio.corpora.timed import timed
from audioinv.audio.io import ENDINGS
from audioinv.base.errors import UserError
from audioinv.data.download import Download
from audioinv.data.later import pandas as pd
from audioinv.data.lists import draw_split, locate, write_table
from audioinv.data.manifest import Corpus
from audioinv.data.task import Task
from audioinv.data.walk import seen

NAME = "birdclef2020"
TITLE = "BirdCLEF 2020 (pruned)"
LICENCE = "Creative Commons of several kinds, by recordist (xeno-canto.org); the challenge's rules"
SOURCE = "https://www.aicrowd.com/challenges/lifeclef-2020-bird-monophone"
DESCRIPTION = "63,364 recordings of 715 bird species of Europe and the Americas; species"
ACCESS = (
    f"by login: register at {SOURCE}, accept its rules and unpack the training data so that "
    "audio/<species>/ is in the root"
)
HOURS = 0.0  # not published
SAMPLE_RATE = 0  # they differ

TASKS = (Task("species", "species"),)

MAX_DURATION_S = 180.0
MIN_CLIPS = 50


def downloads() -> tuple[Download, ...]:
    """None: there is a login before them."""
    return ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of BirdCLEF 2020."""
    parser.add_argument(
        "--max_duration_s",
        type=float,
        default=MAX_DURATION_S,
        help=f"leave out longer recordings (default {MAX_DURATION_S:g}, as in MetaAudio)",
    )
    parser.add_argument(
        "--min_clips",
        type=int,
        default=MIN_CLIPS,
        help=f"then leave out species of fewer recordings (default {MIN_CLIPS}, as in MetaAudio)",
    )


def prepare(
    root: str | Path,
    out: str | Path,
    seed: int = 0,
    max_duration_s: float = MAX_DURATION_S,
    min_clips: int = MIN_CLIPS,
) -> Path:
    """Writes manifest.csv and corpus.json of the recordings in `root`/audio/<species> into `out`.

    Args:
        seed: of the draw of recordings: a tenth of each species for test, another for validation.
        max_duration_s: of a recording, in seconds, more than 0.
        min_clips: recordings of a species, 3 or more, so that each part has one.

    Returns:
        the manifest's path.

    Raises:
        UserError: an option out of range, no audio/, nothing left, or files cannot be read.
    """
    if not max_duration_s > 0 or min_clips < 3:
        raise UserError(
            f"--max_duration_s is {max_duration_s:g}, --min_clips {min_clips}; "
            "give more than 0 seconds, 3 clips or more"
        )
    root = locate(root, "audio/*/*", f"{SOURCE} ({ACCESS})")
    files = seen(root, "audio/*/*")
    rows = timed(root, pd.DataFrame([_row(f) for f in files if f.suffix.lower() in ENDINGS]))
    kept = rows[rows["duration"] <= max_duration_s]
    kept = kept[kept.groupby("species")["id"].transform("size") >= min_clips]
    if kept.empty:
        raise UserError(
            f"of {len(rows)} recordings under {root}/audio none is left: no species has "
            f"{min_clips} of at most {max_duration_s:g} s; lower --min_clips"
        )
    frame = draw_split(kept.reset_index(drop=True), seed, strata=["species"])
    rate = int(frame["sample_rate"].mode()[0])
    return write_table(root, out, frame, Corpus(NAME, TITLE, SOURCE, LICENCE, "", rate, TASKS))


def _row(file: Path) -> dict[str, str]:
    return {
        "id": f"{file.parent.name}/{file.stem}",
        "path": f"audio/{file.parent.name}/{file.name}",
        "species": file.parent.name.replace("_", " "),
    }
