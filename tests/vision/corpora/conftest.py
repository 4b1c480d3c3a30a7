"""Miniatures of image corpora in their true layout."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from PIL import Image

from audioinv.data.manifest import Manifest, read_manifest
from audioinv.data.validate import validate

WriteImages = Callable[..., None]


@pytest.fixture
def write_images() -> WriteImages:
    """A function (root, paths, width=12, height=8) that writes noise, other for every path."""

    def write(root: Path, paths: Iterable[str], width: int = 12, height: int = 8) -> None:
        for path in paths:
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(crc32(path.encode()))
            Image.fromarray(noise.integers(0, 256, (height, width, 3), np.uint8)).save(file)

    return write


@pytest.fixture
def read_valid() -> Callable[[Path], Manifest]:
    """A function that reads a manifest and finds that `validate` has nothing to say of it."""

    def read(path: Path) -> Manifest:
        problems = validate(read_manifest(path, strict=False))
        assert problems == []
        manifest = read_manifest(path)
        assert manifest.corpus.modality == "image"
        derived = {task.augmentation for task in manifest.corpus.tasks if task.augmentation}
        assert derived == {"rotation", "hue", "crop", "blur"}
        return manifest

    return read
