"""Free Spoken Digit Dataset: six speakers say ten digits fifty times, 8 kHz.

Its two labels want opposite invariances: the digit stays under a pitch shift, the speaker does not.
"""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

import pandas as pd

from audioinv.core.errors import UserError
from audioinv.data.audio_io import probe_all
from audioinv.data.manifest import Corpus, stratified_validation, write_manifest
from audioinv.data.task import Task

NAME = "fsdd"
TITLE = "Free Spoken Digit Dataset"
LICENCE = "CC-BY-SA-4.0"
SOURCE = "the public repository github.com/Jakobovski/free-spoken-digit-dataset"
DESCRIPTION = (
    "3,000 recordings of spoken digits; digit and speaker, seen and unseen, and time shift"
)

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
SAMPLE_RATE = 8000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """FSDD has no options."""


def prepare(root: str | Path, out: str | Path, seed: int = 0) -> Path:
    """Writes manifest.csv and corpus.json of the recordings under `root`/recordings into `out`.

    Test is the published one; validation is a tenth of the rest, even over digit and speaker.

    Returns:
        the manifest's path.

    Raises:
        UserError: no recordings are there, a file has another name, or files cannot be read.
    """
    root = Path(root)
    files = sorted((root / "recordings").glob("*.wav"))
    if not files:
        raise UserError(f"no recordings/*.wav under {root}; get them from {SOURCE}")
    rows = [_row(file) for file in files]
    infos = probe_all(files)
    frame = pd.DataFrame(rows).assign(
        duration=[info.frames / info.sample_rate for info in infos],
        sample_rate=[info.sample_rate for info in infos],
    )
    frame = stratified_validation(frame, ["digit", "speaker"], VALID_FRACTION, seed)
    relative = Path(os.path.relpath(root.resolve(), Path(out).resolve())).as_posix()
    corpus = Corpus(NAME, TITLE, SOURCE, LICENCE, relative, SAMPLE_RATE, TASKS)
    return write_manifest(out, frame, corpus)


def _row(file: Path) -> dict[str, str | float]:
    match = FILE_NAME.fullmatch(file.name)
    if match is None:
        raise UserError(f"{file}: recordings are named <digit>_<speaker>_<take>.wav; move it away")
    return {
        "id": file.stem,
        "path": f"recordings/{file.name}",
        "start": 0.0,
        "duration": 0.0,
        "sample_rate": 0,
        "split": "test" if int(match["index"]) < N_TEST_TAKES else "train",
        "digit": match["digit"],
        "speaker": match["speaker"],
    }
