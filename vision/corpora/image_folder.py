"""Your own images: any folder tree, its first folder names as labels.

root/dog/a.jpg, root/cat/2024/b.png      labels dog and cat; split 80/10/10 by a keyed hash
root/train/dog/a.jpg, root/Test/...      folders named for parts are the split (see `data.tree`)
root/a.jpg, root/b.png                   no labels: the derived tasks alone
"""

from __future__ import annotations

import argparse
from pathlib import Path

from audioinv.data.download import Download
from audioinv.data.lists import probed
from audioinv.data.preparing import going_on
from audioinv.data.tree import label_tasks, read_tree
from audioinv.data.walk import Kind
from vision.corpora.images import write_images
from vision.io import ENDINGS, probe

NAME = "image_folder"
TITLE = "A folder of images"
LICENCE = "as its owner says"
SOURCE = "your own folder"
DESCRIPTION = "any folder tree of images; the first folder name below the root is the label"
ACCESS = "your own: give its folder as --root to 'audioinv prepare'"
IMAGES = 0
FOREIGN = frozenset(
    {
        ".ai", ".arw", ".cr2", ".cr3", ".dds", ".dng", ".emf", ".eps", ".exr", ".hdr", ".heic",
        ".heif", ".hif", ".jxl", ".jxr", ".nef", ".orf", ".pdf", ".ps", ".psd", ".raf", ".raw",
        ".rw2", ".svg", ".svgz", ".wdp", ".wmf", ".xcf",
    }
)  # fmt: skip
FILES = Kind("images", ENDINGS, FOREIGN, "convert it to png", probe)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A folder has no options: its shape says all."""


def downloads() -> tuple[Download, ...]:
    """Nothing: the images are the user's own."""
    return ()


def prepare(root: str | Path, out: str | Path, seed: int = 0) -> Path:
    """Writes manifest.csv and corpus.json of the images under `root` into `out`.

    The tree is read as `read_tree` says.

    Returns:
        the manifest's path.

    Raises:
        UserError: no images, files beside label folders, unclear split folders, or files whose
            headers cannot be read.
    """
    root = Path(root)
    about = (NAME, root.resolve().name, SOURCE, LICENCE)
    with going_on() as preparation:
        rows, _ = probed(root, read_tree(root, FILES, seed, preparation), probe)
        return write_images(root, out, rows, about, label_tasks(rows))
