"""Your own audio: any folder tree, its first folder names as labels.

root/dog/a.wav, root/cat/2024/b.flac     labels dog and cat; split 80/10/10 by a keyed hash
root/train/dog/a.wav, root/Test/...      folders named for parts are the split (see `data.tree`)
root/a.wav, root/b.mp3                   no labels, no tasks
"""

from __future__ import annotations

import argparse
from pathlib import Path

from audioinv.audio.corpora.kind import SOUNDS
from audioinv.audio.corpora.timed import timed
from audioinv.data.download import Download
from audioinv.data.lists import write_table
from audioinv.data.manifest import Corpus
from audioinv.data.preparing import going_on
from audioinv.data.tree import label_tasks, read_tree

NAME = "folder"
TITLE = "A folder of audio"
LICENCE = "as its owner says"
SOURCE = "your own folder"
DESCRIPTION = "any folder tree of audio; the first folder name below the root is the label"
ACCESS = "your own: give its folder as --root to 'audioinv prepare'"
HOURS = 0.0
SAMPLE_RATE = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A folder has no options: its shape says all."""


def downloads() -> tuple[Download, ...]:
    """Nothing: the audio is the user's own."""
    return ()


def prepare(root: str | Path, out: str | Path, seed: int = 0) -> Path:
    """Writes manifest.csv and corpus.json of the audio under `root` into `out`.

    The tree is read as `read_tree` says.

    Returns:
        the manifest's path.

    Raises:
        UserError: no audio, files beside label folders, unclear split folders, or unreadable files.
    """
    root = Path(root)
    with going_on() as preparation:
        frame = timed(root, read_tree(root, SOUNDS, seed, preparation))
        rate = int(frame["sample_rate"].mode()[0])
        corpus = Corpus(NAME, root.resolve().name, SOURCE, LICENCE, "", rate, label_tasks(frame))
        return write_table(root, out, frame, corpus)
