"""Sounds of any length, rate and shape as windows, against a naive cut of the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
import torch

from audioinv.audio import io
from audioinv.audio.clips import stretches
from audioinv.audio.frontend import LogMel
from audioinv.audio.io import read_pcm
from audioinv.base.errors import UserError

RATE = 8000


def front(short_clips: str = "repeat", clip_s: float = 0.1) -> LogMel:
    return LogMel(RATE, clip_s, n_fft=256, hop=128, n_bins=16, short_clips=short_clips)


def noise(seconds: float, rate: int = RATE, channels: int = 1, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return 0.2 * random.standard_normal((round(seconds * rate), channels)).clip(-4, 4)


def naive_starts(length: int, n: int, hop: int, drop_last: bool) -> list[int]:
    """Of every window, by trying every place."""
    if length <= n or hop == 0:
        return [0]
    starts = [s for s in range(length) if s % hop == 0 and s + n <= length]
    covered = max(s + n for s in starts)
    return starts if drop_last or covered == length else [*starts, length - n]


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("hop", [0, 3, 10, 17])
@pytest.mark.parametrize("block", [1, 4, 10, 1000])
def test_windows_are_those_of_a_naive_cut(block: int, hop: int, drop_last: bool) -> None:
    for length in (1, 9, 10, 11, 13, 20, 29, 57):
        clip = np.arange(length, dtype=np.int16)
        blocks = [clip[first : first + block] for first in range(0, length, block)]
        found = list(stretches(blocks, 10, hop, drop_last))
        assert [start for start, _ in found] == naive_starts(length, 10, hop, drop_last)
        for start, part in found:
            assert np.array_equal(part, clip[start : start + 10])


def test_a_file_is_what_a_pack_would_hold_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of another rate, in stereo, read in parts: mixed, resampled, rounded to 16 bits."""
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(1.03, 11025, 2), 11025, subtype="FLOAT")
    monkeypatch.setattr(io, "_BLOCK_VALUES", 1000)
    whole = torch.from_numpy(read_pcm(path, RATE).astype(np.float32) / 32768)
    (windows,) = front().sources(path).batches(100)
    starts = naive_starts(len(whole), 800, 800, False)
    assert windows.start_s.tolist() == [start / RATE for start in starts]
    assert windows.end_s.tolist() == [(start + 800) / RATE for start in starts]
    assert windows.end_s[-1] == len(whole) / RATE and windows.clip.tolist() == [0] * len(starts)
    for x, start in zip(windows.x, starts, strict=True):
        assert torch.equal(x, whole[start : start + 800])


@pytest.mark.parametrize(("short_clips", "filled"), [("repeat", 1.0), ("zeros", 0.0)])
def test_short_clips_are_filled_as_in_training(short_clips: str, filled: float) -> None:
    (windows,) = front(short_clips).sources([0.5 * np.ones(500)]).batches(10)
    assert windows.x.shape == (1, 800) and windows.end_s.item() == 500 / RATE
    assert windows.x[0, :500].unique().tolist() == [0.5]
    assert windows.x[0, 500:].unique().tolist() == [0.5 * filled]


def test_arrays_in_every_form() -> None:
    one, two = noise(0.1)[:, 0].astype(np.float32), noise(0.25)[:, 0].astype(np.float32)

    def windows(x: Any, rate: int | None = None) -> torch.Tensor:
        return torch.cat([part.x for part in front().sources(x, rate).batches(64)])

    assert np.array_equal(windows(one), one[None])
    assert torch.equal(windows(torch.from_numpy(one).half().float()), windows(
        torch.from_numpy(one).half()))  # fmt: skip
    assert np.array_equal(windows(np.stack([one, -one])), np.stack([one, -one]))
    stereo = np.stack([np.stack([one, -one]), np.stack([one, one])])
    assert np.allclose(windows(stereo), np.stack([0 * one, one]))
    assert np.allclose(windows([stereo[1], two])[1], two[:800]), "a list of any lengths"
    sixteen = (one * 32768).round().astype(np.int16)
    assert np.allclose(windows(sixteen), one, atol=1e-4)
    high = noise(0.1, 44100)[:, 0].astype(np.float32)
    expected = soxr.resample(high, 44100, RATE, quality="HQ")
    assert np.allclose(windows(high, 44100)[0], expected)


@pytest.mark.parametrize(
    ("x", "rate", "told"),
    [
        (np.full(900, np.nan), None, "clip 0 has NaN"),
        ([np.zeros(900), np.full(900, np.inf)], None, "clip 1 has NaN"),
        (np.zeros((2, 2, 2, 900)), None, r"\(2, 2, 2, 900\)"),
        (np.zeros((900, 2)), None, r"\(900, 2\).*channels"),
        (np.zeros(0), None, r"\(0,\)"),
        ([], None, "no clips"),
        (np.zeros(900, np.int64), None, "int64"),
        (np.zeros(900, bool), None, "bool"),
        (np.full(900, 20000.0), None, "2e.04 where full scale is 1"),
        (np.zeros(900), 0, "0 Hz to 8000 Hz"),
        (np.array(["a"] * 900), None, "<U1"),
        ("nothing/at/all.wav", None, "nothing/at/all.wav"),
        (object(), None, "clips are"),
    ],
)
def test_what_is_no_sound_is_refused(x: Any, rate: int | None, told: str) -> None:
    with pytest.raises(UserError, match=told):
        list(front().sources(x, rate).batches(10))


@pytest.mark.parametrize("content", [b"", b"RIFF no sound", b"text"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    soundfile.write(tmp_path / "a.wav", noise(0.2), RATE)
    (tmp_path / "b.wav").write_bytes(content)
    sources = front().sources(tmp_path)
    assert [Path(name).name for name in sources.names] == ["a.wav", "b.wav"]
    with pytest.raises(UserError, match=r"b\.wav"):
        list(sources.batches(10))
    with pytest.raises(UserError, match="leave sample_rate out"):
        front().sources(tmp_path, 44100)


def test_a_long_file_is_read_as_its_windows_are_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, noise(20.0), RATE)
    monkeypatch.setattr(io, "_BLOCK_VALUES", RATE)
    monkeypatch.setattr(io, "to_int16", lambda block: read.append(len(block)) or block)
    read: list[int] = []
    batches = front(clip_s=1.0).sources(path).batches(2)
    assert next(batches).start_s.tolist() == [0, 1] and sum(read) <= 3 * RATE
    assert sum(len(part.x) for part in batches) == 18 and sum(read) == 20 * RATE
