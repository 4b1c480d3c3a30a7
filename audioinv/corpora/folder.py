"""Your own audio: any folder tree, its first folder names as labels.

root/dog/a.wav, root/cat/2024/b.flac     labels dog and cat; split 80/10/10 by a keyed hash
root/train/dog/a.wav, root/test/...      train, valid, test at the top are the split
root/a.wav, root/b.mp3                   no labels, no tasks
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pandas as pd

from audioinv.core.errors import UserError
from audioinv.corpora.download import Download
from audioinv.corpora.table import timed, write_table
from audioinv.data.audio_io import ENDINGS
from audioinv.data.manifest import SPLITS, Corpus, stratified_validation
from audioinv.data.task import Task

NAME = "folder"
TITLE = "A folder of audio"
LICENCE = "as its owner says"
SOURCE = "your own folder"
DESCRIPTION = "any folder tree of audio; the first folder name below the root is the label"
ACCESS = "your own: give its folder as --root to 'audioinv prepare'"
HOURS = 0.0
SAMPLE_RATE = 0

TEST_FRACTION = 0.1
VALID_FRACTION = 0.1
LIKE_SPLITS = {"valid", "test", "val", "validation", "dev", "eval"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A folder has no options: its shape says all."""


def downloads() -> tuple[Download, ...]:
    """Nothing: the audio is the user's own."""
    return ()


def prepare(root: str | Path, out: str | Path, seed: int = 0) -> Path:
    """Writes manifest.csv and corpus.json of the audio under `root` into `out`.

    Hidden files and folders are left out. With train and test folders but no valid one, a tenth of
    train becomes it.

    Returns:
        the manifest's path.

    Raises:
        UserError: no audio, files beside label folders, unclear split folders, or unreadable files.
    """
    root = Path(root)
    paths = _find(root)
    splits, labels = _read_shape(root, paths)
    names = [str(path) for path in paths]
    frame = timed(root, pd.DataFrame({"id": names, "path": names})).assign(split=splits or "train")
    tasks: tuple[Task, ...] = ()
    if labels:
        frame = frame.assign(label=labels)
        tasks = (Task("label", "label"),) if frame["label"].nunique() > 1 else ()
    frame = _split(frame, seed)
    rate = int(frame["sample_rate"].mode()[0])
    corpus = Corpus(NAME, root.resolve().name, SOURCE, LICENCE, "", rate, tasks)
    return write_table(root, out, frame, corpus)


def _find(root: Path) -> list[PurePosixPath]:
    """The audio files under `root`, relative to it, in order."""
    if not root.is_dir():
        raise UserError(f"{root} is not a folder; give the one that holds the audio")
    found = [PurePosixPath(file.relative_to(root).as_posix()) for file in root.rglob("*")]
    paths = sorted(
        path
        for path in found
        if path.suffix.lower() in ENDINGS
        and not any(part.startswith(".") for part in path.parts)
        and not (root / path).is_dir()
    )
    if not paths:
        raise UserError(f"no audio under {root}; looked for {', '.join(sorted(ENDINGS))}")
    if odd := [path for path in paths if not _is_utf8(str(path))]:
        raise UserError(f"{len(odd)} file name(s) are not UTF-8, such as {odd[0]!r}; rename them")
    return paths


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_shape(root: Path, paths: Sequence[PurePosixPath]) -> tuple[list[str], list[str]]:
    """Each file's split and its label; [] where the tree tells none."""
    tops = {path.parts[0] for path in paths if len(path.parts) > 1}
    splits: list[str] = []
    below = [path.parts for path in paths]
    if "train" in tops and tops & LIKE_SPLITS:
        if not tops <= set(SPLITS) or any(len(parts) == 1 for parts in below):
            raise UserError(
                f"{root} holds split folders and more ({', '.join(sorted(tops))}); "
                "name them train, valid and test, and leave nothing else beside them"
            )
        splits = [parts[0] for parts in below]
        below = [parts[1:] for parts in below]
    labels = [parts[0] if len(parts) > 1 else "" for parts in below]
    bare = [path for path, label in zip(paths, labels, strict=True) if not label]
    if bare and len(bare) < len(paths):
        raise UserError(
            f"{len(bare)} of {len(paths)} files under {root} lie in no label folder, "
            f"such as {bare[0]}; move them into one, or away"
        )
    return splits, [] if bare else labels


def _split(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Takes the parts that the tree does not give from train."""
    strata = ["label"] if "label" in frame else []
    given = set(frame["split"])
    if given == {"train"}:
        frame = stratified_validation(frame, strata, TEST_FRACTION, seed, part="test")
        return stratified_validation(frame, strata, VALID_FRACTION / (1 - TEST_FRACTION), seed)
    if "valid" not in given:
        return stratified_validation(frame, strata, VALID_FRACTION, seed)
    return frame
