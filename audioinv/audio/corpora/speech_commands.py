"""Speech Commands: one-second recordings of single words by thousands of speakers.

The published lists split by speaker. With 12 classes the words beside the ten commands are
`unknown`, thinned out to one command's share, and `silence` is cut from the background noises: each
noise is divided in time among the splits, so that no cut of one is heard in another.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import numpy as np

from audioinv.audio.corpora.timed import timed
from audioinv.base.errors import UserError
from audioinv.data.download import Download
from audioinv.data.later import pandas as pd
from audioinv.data.lists import choice, locate, read_lines, write_table
from audioinv.data.manifest import SPLITS, Corpus
from audioinv.data.task import Task
from audioinv.data.walk import seen

NAME = "speech_commands"
TITLE = "Speech Commands"
LICENCE = "CC-BY-4.0"
SOURCE = "storage.googleapis.com/download.tensorflow.org/data (Warden, arXiv 1804.03209)"
DESCRIPTION = "105,829 clips of 35 words (version 1: 64,727 of 30), or 12 or 10 classes of them"
ACCESS = "public; version 2 is 2.4 GB, version 1 1.5 GB"
HOURS = 29.0
SAMPLE_RATE = 16000

TASKS = (Task("word", "word"),)
COMMANDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
CLASSES = ("35", "12", "10")
NOISE = "_background_noise_"
NOISE_PARTS = {"train": (0.0, 0.8), "valid": (0.8, 0.9), "test": (0.9, 1.0)}
CUT_S = 1.0
SHA256 = {
    "1": "743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d",
    "2": "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `audioinv download` and `audioinv prepare speech_commands`."""
    parser.add_argument("--version", default="2", choices=tuple(SHA256), help="default 2")
    parser.add_argument(
        "--classes",
        default="35",
        choices=CLASSES,
        help="35: every word (30 in version 1); 12: ten commands, unknown and silence; "
        "10: the commands (default 35)",
    )


def downloads(version: str = "2") -> tuple[Download, ...]:
    """One archive, which unpacks without a folder of its own: it gets one here."""
    name = f"speech_commands_v0.0{choice('version', version, tuple(SHA256))}"
    url = f"https://storage.googleapis.com/download.tensorflow.org/data/{name}.tar.gz"
    return (Download(url, f"{name}/{name}.tar.gz", f"sha256:{SHA256[version]}"),)


def prepare(
    root: str | Path, out: str | Path, seed: int = 0, version: str = "2", classes: str = "35"
) -> Path:
    """Writes manifest.csv and corpus.json of the clips under `root` into `out`.

    Args:
        root: holds the words' folders, or speech_commands_v0.0<version> with them.
        seed: chooses the unknown words of 12 classes.
        version, classes: as `add_arguments` tells.

    Returns:
        the manifest's path.

    Raises:
        UserError: the corpus is not there, a listed clip is missing, or files cannot be read.
    """
    choice("version", version, tuple(SHA256))
    choice("classes", classes, CLASSES)
    below = Path(root) / f"speech_commands_v0.0{version}"
    root = locate(below if below.is_dir() else root, ("testing_list.txt", "yes"), SOURCE)
    rows = _words(root)
    if classes != "35":
        rows = _commands(rows, seed if classes == "12" else None)
    frame = timed(root, rows)
    if classes == "12":
        frame = pd.concat([frame, _silence(root, frame)], ignore_index=True)
    corpus = Corpus(NAME, TITLE, SOURCE, LICENCE, "", SAMPLE_RATE, TASKS)
    return write_table(root, out, frame, corpus)


def _words(root: Path) -> pd.DataFrame:
    """Every clip of every word."""
    files = [path for path in seen(root, "*/*.wav") if path.parent.name != NOISE]
    paths = [f"{file.parent.name}/{file.name}" for file in files]
    splits = dict.fromkeys(paths, "train")
    for split, name in (("valid", "validation_list.txt"), ("test", "testing_list.txt")):
        listed = read_lines(root / name)
        if missing := [path for path in listed if path not in splits]:
            raise UserError(
                f"{len(missing)} clips of {root / name} are not there, such as {missing[0]}; "
                "unpack the corpus again"
            )
        splits |= dict.fromkeys(listed, split)
    return pd.DataFrame(
        {
            "id": [path.removesuffix(".wav") for path in paths],
            "path": paths,
            "split": [splits[path] for path in paths],
            "word": [path.split("/")[0] for path in paths],
            "speaker": [file.name.split("_")[0] for file in files],
        }
    )


def _commands(rows: pd.DataFrame, seed: int | None) -> pd.DataFrame:
    """The ten commands and, with a seed, as many unknown words as one of them has, by split."""
    is_command = rows["word"].isin(COMMANDS)
    parts = [rows[is_command]]
    if seed is not None:
        others = rows[~is_command].assign(word="unknown")
        order = [hashlib.sha256(f"{seed}:{name}".encode()).hexdigest() for name in others["id"]]
        others = others.iloc[np.argsort(order)]
        for split, count in _share(rows[is_command]).items():
            parts.append(others[others["split"] == split].head(count))
    return pd.concat(parts).sort_index().reset_index(drop=True)


def _share(commands: pd.DataFrame) -> dict[str, int]:
    """Clips of one command in each split, on average."""
    return {
        split: round((commands["split"] == split).mean() * len(commands) / 10) for split in SPLITS
    }


def _silence(root: Path, frame: pd.DataFrame) -> pd.DataFrame:
    """One-second cuts, evenly over the noises: as many as a command has clips, by split."""
    paths = [f"{NOISE}/{file.name}" for file in seen(root / NOISE, "*.wav")]
    if not paths:
        raise UserError(f"no *.wav in {root / NOISE}, from which silence is cut; unpack it again")
    lengths_s = timed(root, pd.DataFrame({"id": paths, "path": paths}))["duration"].to_numpy()
    cuts = [pd.DataFrame({"start": [], "path": [], "split": []})]
    for split, count in _share(frame[frame["word"].isin(COMMANDS)]).items():
        for path, length_s in zip(paths, lengths_s, strict=True):
            first, last = (length_s * share for share in NOISE_PARTS[split])
            number = round(count * length_s / lengths_s.sum()) if last - first >= CUT_S else 0
            starts = np.linspace(first, last - CUT_S, number).round(3)
            cuts.append(pd.DataFrame({"start": starts, "path": path, "split": split}))
    silence = pd.concat(cuts, ignore_index=True)
    return silence.assign(
        id=[f"silence/{number:05d}" for number in range(len(silence))],
        duration=CUT_S,
        sample_rate=SAMPLE_RATE,
        word="silence",
        speaker="none",
    )
