"""AudioSet: ten-second segments of videos, each with the sounds in it, of 527 kinds.

Google publishes the lists; the audio is on YouTube, and everybody has another part of it. Taken is
what is there: files named by video, as <id>, Y<id> or <id>_<times>, in a folder for each list. The
evaluation list is the test split; validation is a tenth of the training clips, drawn.
"""

from __future__ import annotations

import argparse
import csv
import logging
from collections.abc import Collection, Iterator
from pathlib import Path

from audioinv.audio.corpora.timed import timed
from audioinv.audio.io import ENDINGS
from audioinv.base.errors import UserError
from audioinv.data.download import Download
from audioinv.data.later import pandas as pd
from audioinv.data.lists import choice, locate, read_lines, read_table, write_table
from audioinv.data.manifest import Corpus, stratified_validation
from audioinv.data.task import Task
from audioinv.data.walk import seen

NAME = "audioset"
TITLE = "AudioSet"
LICENCE = "CC-BY-4.0 (the lists; the rights of the videos stay their owners')"
SOURCE = "https://research.google.com/audioset/download.html"
DESCRIPTION = "ten-second clips of videos, 22 thousand in the balanced list; sounds in them"
ACCESS = (
    f"the lists are public, at {SOURCE}; the audio has to be fetched from YouTube clip by clip, or "
    "had from someone who did: put it into balanced_train_segments/, eval_segments/ and, with "
    "--train full, unbalanced_train_segments/ in the root"
)
HOURS = 5800.0  # all lists
SAMPLE_RATE = 0  # as it was fetched

TASKS = (Task("sounds", "sounds", "multilabel"),)

LISTS = "https://storage.googleapis.com/us_audioset/youtube_corpus/v1/csv"
CLASSES = "class_labels_indices.csv"
FOLDERS = {  # a list: names of its folder, by itself or in audio/ or audios/
    "balanced_train": ("balanced_train_segments", "balanced_train", "bal_train"),
    "unbalanced_train": ("unbalanced_train_segments", "unbalanced_train", "unbal_train"),
    "eval": ("eval_segments", "eval"),
}
PARENTS = (".", "audio", "audios")
TRAIN = {"balanced": ("balanced_train",), "full": ("balanced_train", "unbalanced_train")}
VALID_FRACTION = 0.1
ID_LENGTH = 11

log = logging.getLogger(__name__)


def downloads(train: str = "balanced") -> tuple[Download, ...]:
    """The lists of segments and of classes; nobody publishes their checksums.

    Raises:
        UserError: `train` is neither balanced nor full.
    """
    files = [*(f"{part}_segments.csv" for part in _parts(train)), CLASSES]
    return tuple(Download(f"{LISTS}/{name}", name, unpack=False) for name in files)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of AudioSet."""
    parser.add_argument(
        "--train",
        default="balanced",
        choices=list(TRAIN),
        help="training clips: of the balanced list, or of the unbalanced one too (default "
        "balanced)",
    )


def prepare(root: str | Path, out: str | Path, seed: int = 0, train: str = "balanced") -> Path:
    """Writes manifest.csv and corpus.json of the clips that are under `root` into `out`.

    Args:
        seed: of the draw of validation clips.
        train: balanced or full.

    Returns:
        the manifest's path.

    Raises:
        UserError: an unknown `train`, no lists, no training clips, or files cannot be read.
    """
    parts = _parts(train)
    root = locate(root, [CLASSES, *(f"{part}_segments.csv" for part in parts)], SOURCE)
    classes = read_table(root / CLASSES, ["mid", "display_name"])
    names = dict(zip(classes["mid"], classes["display_name"], strict=True))
    rows = pd.DataFrame([row for part in parts for row in _rows(root, part, names)])
    if rows.empty or not (rows["split"] == "train").any():
        raise UserError(f"no training clips under {root}: {ACCESS}")
    rows = stratified_validation(timed(root, rows), [], VALID_FRACTION, seed)
    rate = int(rows["sample_rate"].mode()[0])
    return write_table(root, out, rows, Corpus(NAME, TITLE, SOURCE, LICENCE, "", rate, TASKS))


def _parts(train: str) -> list[str]:
    return [*TRAIN[choice("--train", train, list(TRAIN))], "eval"]


def _rows(root: Path, part: str, names: dict[str, str]) -> Iterator[dict[str, str]]:
    """The clips of one list that are there."""
    file = root / f"{part}_segments.csv"
    segments = _segments(file)
    paths = _find(root, part, segments)
    log.info("%s: %d of %d clips are there", file.name, len(paths), len(segments))
    for video, path in sorted(paths.items()):
        if unknown := [label for label in segments[video] if label not in names]:
            raise UserError(f"{file} has the label {unknown[0]}, which {CLASSES} does not name")
        yield {
            "id": video,
            "path": path,
            "split": "test" if part == "eval" else "train",
            "sounds": ";".join(sorted(names[label] for label in segments[video])),
        }


def _segments(file: Path) -> dict[str, list[str]]:
    """Labels by video, of lines such as '-0RWZT-miFs, 420.000, 430.000, "/m/03v3yw,/m/0k4j"'."""
    segments = {}
    for line in read_lines(file):
        if line.startswith("#"):
            continue
        cells = next(csv.reader([line], skipinitialspace=True))
        if len(cells) != 4 or len(cells[0]) != ID_LENGTH:
            raise UserError(f"{file} has the line '{line}'; get it anew from {SOURCE}")
        segments[cells[0]] = cells[3].split(",")
    return segments


def _find(root: Path, part: str, known: Collection[str]) -> dict[str, str]:
    """Paths by video, of the audio in the folders of one list."""
    folders = [root / parent / name for parent in PARENTS for name in FOLDERS[part]]
    paths: dict[str, str] = {}
    for folder in folders:
        for file in seen(folder, "**/*"):
            video = _video(file.stem, known) if file.suffix.lower() in ENDINGS else ""
            if video:
                paths.setdefault(video, file.relative_to(root).as_posix())
    return paths


def _video(stem: str, known: Collection[str]) -> str:
    """The video that a file is named by, as <id>, Y<id>, <id>_<times> or Y<id>_<times>, or ""."""
    for start in (0, 1) if stem.startswith("Y") else (0,):
        video, rest = stem[start : start + ID_LENGTH], stem[start + ID_LENGTH :]
        if video in known and rest[:1] in ("", "_"):
            return video
    return ""
