"""NSynth: 305,979 notes of four seconds, each one pitch at one velocity of one instrument.

The published split keeps instruments apart: none of training is in validation or test. Family wants
invariance to pitch, pitch the opposite.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from audioinv.audio.corpora.timed import timed
from audioinv.base.errors import UserError
from audioinv.base.files import read_json
from audioinv.data.download import Download
from audioinv.data.later import pandas as pd
from audioinv.data.lists import locate, write_table
from audioinv.data.manifest import SPLITS, Corpus
from audioinv.data.task import Task

NAME = "nsynth"
TITLE = "NSynth: musical notes"
LICENCE = "CC-BY-4.0"
SOURCE = "magenta.tensorflow.org/datasets/nsynth"
DESCRIPTION = "305,979 notes; instrument family, source, pitch, velocity and qualities"
ACCESS = "public; 25 GB"
HOURS = 340.0
SAMPLE_RATE = 16000

TASKS = (
    Task("family", "family"),
    Task("pitch", "pitch"),
    Task("source", "source"),
    Task("velocity", "velocity"),
    Task("qualities", "qualities", "multilabel"),
)
MD5 = {
    "train": "fde6665a93865503ba598b9fac388660",
    "valid": "87e94a00a19b6dbc99cf6d4c0c0cae87",
    "test": "5e6f8719bf7e16ad0a00d518b78af77d",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """NSynth has no options."""


def downloads() -> tuple[Download, ...]:
    """An archive for each split."""
    address = "http://download.magenta.tensorflow.org/datasets/nsynth"
    names = {split: f"nsynth-{split}.jsonwav.tar.gz" for split in SPLITS}
    return tuple(
        Download(f"{address}/{name}", name, f"md5:{MD5[split]}") for split, name in names.items()
    )


def prepare(root: str | Path, out: str | Path, seed: int = 0) -> Path:
    """Writes manifest.csv and corpus.json of the three splits into `out`.

    Column instrument is what the splits keep apart; pitch is the MIDI number of the note.

    Args:
        seed: nothing is drawn.

    Returns:
        the manifest's path.

    Raises:
        UserError: the corpus is not there, a list has another form, or files cannot be read.
    """
    root = locate(root, [f"nsynth-{split}/examples.json" for split in SPLITS], SOURCE)
    rows = pd.DataFrame([row for split in SPLITS for row in _rows(root, split)])
    corpus = Corpus(NAME, TITLE, SOURCE, LICENCE, "", SAMPLE_RATE, TASKS)
    return write_table(root, out, timed(root, rows), corpus)


def _rows(root: Path, split: str) -> list[dict[str, Any]]:
    path = root / f"nsynth-{split}" / "examples.json"
    try:
        return [_row(name, note, split) for name, note in sorted(read_json(path).items())]
    except (AttributeError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is not NSynth's list of notes ({error!r}); unpack its archive again"
        ) from error


def _row(name: str, note: dict[str, Any], split: str) -> dict[str, Any]:
    return {
        "id": name,
        "path": f"nsynth-{split}/audio/{name}.wav",
        "split": split,
        "family": note["instrument_family_str"],
        "pitch": note["pitch"],
        "source": note["instrument_source_str"],
        "velocity": note["velocity"],
        "qualities": ";".join(note["qualities_str"]),
        "instrument": note["instrument_str"],
    }
