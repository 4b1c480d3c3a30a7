"""Miniatures of corpora in their true layout."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import soundfile

from audioinv.data.manifest import Manifest, read_manifest
from audioinv.data.validate import validate

WriteAudio = Callable[..., None]


@pytest.fixture
def write_audio() -> WriteAudio:
    """A function (root, paths, sample_rate=8000, duration_s=0.1, channels=1) that writes noise.

    The format is that of the ending (wav, flac, ogg, mp3); each path has noise of its own, so that
    no two files are equal.
    """

    def write(
        root: Path,
        paths: Iterable[str],
        sample_rate: int = 8000,
        duration_s: float = 0.1,
        channels: int = 1,
    ) -> None:
        for path in paths:
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(crc32(path.encode()))
            shape = (round(duration_s * sample_rate), channels)
            soundfile.write(file, 0.1 * noise.standard_normal(shape), sample_rate)

    return write


@pytest.fixture
def read_valid() -> Callable[[Path], Manifest]:
    """A function that reads a manifest and finds that `validate` has nothing to say of it."""

    def read(path: Path) -> Manifest:
        problems = validate(read_manifest(path, strict=False))
        assert problems == []
        return read_manifest(path)

    return read
