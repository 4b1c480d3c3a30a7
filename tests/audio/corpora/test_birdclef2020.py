"""BirdCLEF 2020: MetaAudio's pruning, and a split even over species."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from audioinv.audio.corpora import birdclef2020
from audioinv.base.errors import UserError
from audioinv.data.manifest import Manifest


def tiny(root: Path, write_audio: Callable[..., None]) -> Path:
    """Ten of one bird, nine and a long one of another, four of a third."""
    write_audio(root, [f"audio/Winter Wren/XC1{k}.mp3" for k in range(10)], 16000)
    write_audio(root, [f"audio/Elf_Owl/XC2{k}.wav" for k in range(9)])
    write_audio(root, ["audio/Elf_Owl/XC29.wav"], duration_s=3.0)
    write_audio(root, [f"audio/Rook/XC3{k}.wav" for k in range(4)])
    (root / "audio" / "Rook" / "XC30.json").touch()
    return root


def test_long_recordings_go_first_then_rare_species(
    tmp_path: Path, write_audio: Callable[..., None], read_valid: Callable[[Path], Manifest]
) -> None:
    root = tiny(tmp_path / "birds", write_audio)
    options = {"max_duration_s": 2.0, "min_clips": 9}
    frame = read_valid(birdclef2020.prepare(root, tmp_path / "out", **options)).frame
    assert frame.groupby("species").size().to_dict() == {"Elf Owl": 9, "Winter Wren": 10}
    parts = frame.groupby(["species", "split"]).size()
    assert parts["Winter Wren"].to_dict() == {"test": 1, "train": 8, "valid": 1}
    assert frame["duration"].max() < 2
    options["min_clips"] = 10  # the owl has no ten without the long one
    frame = read_valid(birdclef2020.prepare(root, tmp_path / "ten", **options)).frame
    assert set(frame["species"]) == {"Winter Wren"}


def test_nothing_left_and_bad_options(tmp_path: Path, write_audio: Callable[..., None]) -> None:
    with pytest.raises(UserError, match=r"audio/\*/\*.*https://www\.aicrowd"):
        birdclef2020.prepare(tmp_path, tmp_path / "out")
    root = tiny(tmp_path / "birds", write_audio)
    with pytest.raises(UserError, match=r"24.*50.*180 s"):
        birdclef2020.prepare(root, tmp_path / "out")
    with pytest.raises(UserError, match="--max_duration_s is 0, --min_clips 50"):
        birdclef2020.prepare(root, tmp_path / "out", max_duration_s=0)
