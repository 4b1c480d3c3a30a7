"""VoxCeleb1, speaker identification: 1,251 people speak in interviews, cut from videos.

The published split (iden_split.txt) parts the utterances of every speaker. `speaker` is the
person's number, `video` the source recording.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from audioinv.audio.corpora.timed import timed
from audioinv.base.errors import UserError
from audioinv.data.download import Download
from audioinv.data.later import pandas as pd
from audioinv.data.lists import locate, read_lines, read_table, write_table
from audioinv.data.manifest import Corpus
from audioinv.data.task import Task

NAME = "voxceleb1"
TITLE = "VoxCeleb1: who speaks"
LICENCE = "CC-BY-4.0 (the metadata; the rights of the videos stay their owners')"
SOURCE = "https://www.robots.ox.ac.uk/~vgg/data/voxceleb/vox1.html"
DESCRIPTION = "153,516 utterances of 1,251 speakers; speaker, and gender of unseen speakers"
ACCESS = (
    f"by request: fill in the form at {SOURCE}, then unpack vox1_dev_wav.zip and vox1_test_wav.zip "
    "(both have a folder wav/) into the root; only the two lists can be fetched without it"
)
HOURS = 352.0
SAMPLE_RATE = 16000

TASKS = (
    Task("speaker", "speaker"),
    Task("gender_unseen_speaker", "gender", groups="speaker"),
)

META = "https://www.robots.ox.ac.uk/~vgg/data/voxceleb/meta"
SPLIT = "iden_split.txt"
PEOPLE = "vox1_meta.csv"  # separated by tabs
SPLITS = {"1": "train", "2": "valid", "3": "test"}
GENDERS = {"m": "male", "f": "female"}


def downloads() -> tuple[Download, ...]:
    """The list of the split and that of the speakers; nobody publishes their checksums."""
    return tuple(Download(f"{META}/{name}", name, unpack=False) for name in (SPLIT, PEOPLE))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """VoxCeleb1 has no options."""


def prepare(root: str | Path, out: str | Path, seed: int = 0) -> Path:
    """Writes manifest.csv and corpus.json of the utterances under `root`/wav into `out`.

    Args:
        seed: changes nothing: the split is published.

    Returns:
        the manifest's path.

    Raises:
        UserError: wav/ or a list is not there, a list has an odd line, or files are missing or
            cannot be read.
    """
    root = locate(root, ("wav", SPLIT, PEOPLE), f"{SOURCE} ({ACCESS})")
    rows = pd.DataFrame([_row(root / SPLIT, line) for line in read_lines(root / SPLIT)])
    people = read_table(root / PEOPLE, ["VoxCeleb1 ID", "Gender"], "\t")
    genders = people.set_index("VoxCeleb1 ID")["Gender"].map(GENDERS)
    if unknown := sorted(set(rows["speaker"]) - set(genders.dropna().index)):
        raise UserError(
            f"{root / PEOPLE} tells no gender of {len(unknown)} speakers, such as {unknown[0]}; "
            f"get it anew from {META}/{PEOPLE}"
        )
    rows["gender"] = rows["speaker"].map(genders)
    corpus = Corpus(NAME, TITLE, SOURCE, LICENCE, "", SAMPLE_RATE, TASKS)
    return write_table(root, out, timed(root, rows), corpus)


def _row(file: Path, line: str) -> dict[str, str]:
    """A line such as "1 id10003/na8-QEFmj44/00003.wav"."""
    part, _, path = line.partition(" ")
    folders = path.split("/")
    if part not in SPLITS or len(folders) != 3:
        raise UserError(
            f"{file} has the line '{line}'; a part (1 to 3) and <speaker>/<video>/<file> are "
            f"expected: get it anew from {META}/{SPLIT}"
        )
    speaker, video, _ = folders
    return {
        "id": path.removesuffix(".wav"),
        "path": f"wav/{path}",
        "split": SPLITS[part],
        "speaker": speaker,
        "video": video,
    }
