"""CREMA-D: 91 actors speak twelve sentences in six emotions, as intended by the actor.

No split is published: a keyed draw takes a fifth of the actors for test and a tenth for validation,
so that no actor is in two parts. `actor` is the speaker. One file, which has no sound, is left out.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from audioinv.audio.corpora.timed import timed
from audioinv.base.errors import UserError
from audioinv.data.download import Download
from audioinv.data.later import pandas as pd
from audioinv.data.lists import draw_split, locate, write_table
from audioinv.data.manifest import Corpus
from audioinv.data.task import Task
from audioinv.data.walk import seen

NAME = "crema_d"
TITLE = "CREMA-D: emotional speech of many actors"
LICENCE = "ODbL-1.0"
SOURCE = "https://github.com/CheyneyComputerScience/CREMA-D"
DESCRIPTION = "7,441 sentences by 91 actors in six emotions; emotion of unseen actors, and actor"
ACCESS = (
    "public, by git with git-lfs (a zip of the repository holds no audio): "
    f"git lfs clone {SOURCE}; the authors ask users to fill in the form named there"
)
HOURS = 5.3
SAMPLE_RATE = 16000

TASKS = (
    Task("emotion", "emotion"),
    Task("actor_unseen_sentence", "actor", groups="sentence"),
)

EMOTIONS = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happy",
    "NEU": "neutral",
    "SAD": "sad",
}
LEVELS = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified"}
FILE_NAME = re.compile(
    rf"(?P<actor>1\d{{3}})_(?P<sentence>[A-Z]{{3}})_(?P<emotion>{'|'.join(EMOTIONS)})"
    r"_(?P<level>[A-Z]{1,2})\.wav"
)
SILENT = "1076_MTI_SAD_XX.wav"
TEST_FRACTION = 0.2  # of the actors
VALID_FRACTION = 0.1
POINTER = b"version https://git-lfs"


def downloads() -> tuple[Download, ...]:
    """None: the audio is behind git-lfs."""
    return ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """CREMA-D has no options."""


def prepare(root: str | Path, out: str | Path, seed: int = 0) -> Path:
    """Writes manifest.csv and corpus.json of `root`/AudioWAV into `out`.

    Args:
        seed: of the draw of actors.

    Returns:
        the manifest's path.

    Raises:
        UserError: no AudioWAV is there, git-lfs has not fetched it, a file has another name, or
            files cannot be read.
    """
    root = locate(root, "AudioWAV/*.wav", f"{SOURCE} ({ACCESS})")
    files = [file for file in seen(root / "AudioWAV", "*.wav") if file.name != SILENT]
    rows = pd.DataFrame([_row(file) for file in files])
    rows = draw_split(rows, seed, whole="actor", test=TEST_FRACTION, valid=VALID_FRACTION)
    corpus = Corpus(NAME, TITLE, SOURCE, LICENCE, "", SAMPLE_RATE, TASKS)
    return write_table(root, out, timed(root, rows), corpus)


def _row(file: Path) -> dict[str, str]:
    match = FILE_NAME.fullmatch(file.name)
    if match is None:
        raise UserError(
            f"{file}: audio of CREMA-D is named <actor>_<sentence>_<emotion>_<level>.wav, such as "
            "1001_DFA_ANG_XX.wav; move it away"
        )
    with file.open("rb") as content:
        if content.read(len(POINTER)) == POINTER:
            raise UserError(f"{file} stands for audio not fetched yet; run git lfs pull there")
    return {
        "id": file.stem,
        "path": f"AudioWAV/{file.name}",
        "emotion": EMOTIONS[match["emotion"]],
        "level": LEVELS.get(match["level"], "unspecified"),  # some names end in X alone
        "sentence": match["sentence"],
        "actor": match["actor"],
    }
