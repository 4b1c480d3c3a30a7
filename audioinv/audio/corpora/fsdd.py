"""Free Spoken Digit Dataset: six speakers say ten digits fifty times, 8 kHz.

Its two labels want opposite invariances: the digit stays under a pitch shift, the speaker does not.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from audioinv.audio.corpora.timed import timed
from audioinv.base.errors import UserError
from audioinv.data.download import Download
from audioinv.data.later import pandas as pd
from audioinv.data.lists import locate, write_table
from audioinv.data.manifest import Corpus, stratified_validation
from audioinv.data.task import Task
from audioinv.data.walk import seen

NAME = "fsdd"
TITLE = "Free Spoken Digit Dataset"
LICENCE = "CC-BY-SA-4.0"
SOURCE = "the public repository github.com/Jakobovski/free-spoken-digit-dataset"
DESCRIPTION = (
    "3,000 recordings of spoken digits; digit and speaker, seen and unseen, and time shift"
)
ACCESS = "public; release v1.0.10, about 16 MB"
HOURS = 0.4
SAMPLE_RATE = 8000

TASKS = (
    Task("digit", "digit"),
    Task("speaker", "speaker"),
    Task("digit_unseen_speaker", "digit", groups="speaker"),
    Task("speaker_unseen_digit", "speaker", groups="digit"),
    Task("shift", "shift", "regression", augmentation="time_shift", unit="fraction of the clip"),
)

FILE_NAME = re.compile(r"(?P<digit>[0-9])_(?P<speaker>[a-z]+)_(?P<index>[0-9]+)\.wav")
N_TEST_TAKES = 5  # takes 0 to 4 are the published test set
VALID_FRACTION = 0.1
RELEASE = "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.tar.gz"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """FSDD has no options."""


def downloads() -> tuple[Download, ...]:
    """The archive that GitHub makes of the release; it publishes no checksum of it."""
    return (Download(RELEASE, "free-spoken-digit-dataset-1.0.10.tar.gz"),)


def prepare(root: str | Path, out: str | Path, seed: int = 0) -> Path:
    """Writes manifest.csv and corpus.json of the recordings into `out`.

    They lie in recordings/ under `root`, or under the one folder in it that the archive unpacks to.
    Test is the published one; validation is a tenth of the rest, even over digit and speaker.

    Returns:
        the manifest's path.

    Raises:
        UserError: no recordings are there, a file has another name, or files cannot be read.
    """
    root = locate(root, "recordings/*.wav", SOURCE)
    rows = pd.DataFrame([_row(file) for file in seen(root / "recordings", "*.wav")])
    frame = stratified_validation(timed(root, rows), ["digit", "speaker"], VALID_FRACTION, seed)
    corpus = Corpus(NAME, TITLE, SOURCE, LICENCE, "", SAMPLE_RATE, TASKS)
    return write_table(root, out, frame, corpus)


def _row(file: Path) -> dict[str, str]:
    match = FILE_NAME.fullmatch(file.name)
    if match is None:
        raise UserError(f"{file}: recordings are named <digit>_<speaker>_<take>.wav; move it away")
    return {
        "id": file.stem,
        "path": f"recordings/{file.name}",
        "split": "test" if int(match["index"]) < N_TEST_TAKES else "train",
        "digit": match["digit"],
        "speaker": match["speaker"],
    }
