"""RAVDESS: 24 actors speak two sentences in eight emotions; the speech of the audio-only release.

Official folds there are none; these are the five of Luna-Jimenez et al. (Sensors 2021,
doi:10.3390/s21227665), which share no actor. `actor` is the speaker; songs are left out.
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
from audioinv.data.manifest import Corpus
from audioinv.data.task import Task
from audioinv.data.walk import seen

NAME = "ravdess"
TITLE = "RAVDESS: emotional speech"
LICENCE = "CC-BY-NC-SA-4.0"
SOURCE = "https://zenodo.org/records/1188976"
DESCRIPTION = "1,440 sentences by 24 actors in eight emotions; emotion of unseen actors, and actor"
ACCESS = "public, on Zenodo"
HOURS = 0.0  # not published
SAMPLE_RATE = 48000

TASKS = (
    Task("emotion", "emotion"),
    Task("actor_unseen_emotion", "actor", groups="emotion"),
)

ARCHIVE = "Audio_Speech_Actors_01-24.zip"
FILE_NAME = re.compile(
    r"03-(?P<channel>0[12])-(?P<emotion>0[1-8])-(?P<intensity>0[12])"
    r"-(?P<statement>0[12])-(?P<repetition>0[12])-(?P<actor>0[1-9]|1\d|2[0-4])\.wav"
)
SPEECH = "01"  # songs have vocal channel 02
EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgust",
    "08": "surprised",
}
INTENSITIES = {"01": "normal", "02": "strong"}
STATEMENTS = {"01": "kids", "02": "dogs"}  # Kids are talking ..., Dogs are sitting by the door
FOLDS = (
    (2, 5, 14, 15, 16),
    (3, 6, 7, 13, 18),
    (10, 11, 12, 19, 20),
    (8, 17, 21, 23, 24),
    (1, 4, 9, 22),
)
FOLD_OF = {f"{actor:02d}": str(fold) for fold, actors in enumerate(FOLDS) for actor in actors}


def downloads() -> tuple[Download, ...]:
    """The archive of spoken sentences."""
    url = f"{SOURCE}/files/{ARCHIVE}?download=1"
    return (Download(url, ARCHIVE, "md5:bc696df654c87fed845eb13823edef8a"),)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """RAVDESS has no options."""


def prepare(root: str | Path, out: str | Path, seed: int = 0) -> Path:
    """Writes manifest.csv and corpus.json of the speech in `root`/Actor_* into `out`.

    Args:
        seed: changes nothing: the folds are published.

    Returns:
        the manifest's path.

    Raises:
        UserError: no Actor_01 is there, a file has another name, or files cannot be read.
    """
    root = locate(root, "Actor_*", SOURCE)
    rows = [_row(file) for file in seen(root, "Actor_*/*.wav")]
    speech = pd.DataFrame([row for row in rows if row.pop("channel") == SPEECH])
    if speech.empty:
        raise UserError(f"no speech under {root}/Actor_*; unpack {ARCHIVE} of {SOURCE} there")
    corpus = Corpus(NAME, TITLE, SOURCE, LICENCE, "", SAMPLE_RATE, TASKS)
    return write_table(root, out, timed(root, speech), corpus)


def _row(file: Path) -> dict[str, str]:
    match = FILE_NAME.fullmatch(file.name)
    if match is None:
        raise UserError(
            f"{file}: audio of RAVDESS is named by seven numbers, such as "
            "03-01-06-01-02-01-12.wav; move it away"
        )
    return {
        "id": file.stem,
        "path": f"{file.parent.name}/{file.name}",
        "fold": FOLD_OF[match["actor"]],
        "channel": match["channel"],
        "emotion": EMOTIONS[match["emotion"]],
        "intensity": INTENSITIES[match["intensity"]],
        "statement": STATEMENTS[match["statement"]],
        "actor": match["actor"],
    }
