"""Files that promise, or unfold into, far more than they are."""

from __future__ import annotations

import multiprocessing
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("audioinv.audio", reason="the half of sounds was left out")

import soundfile

from audioinv.audio import io as audio_io
from audioinv.audio.io import AudioError, check, read, read_mono, read_pcm

HOUR_S = 3600


def growth_mb(function: Callable[[], Any]) -> tuple[str, float]:
    """What a forked process says, and by how many MB its peak memory grew."""
    context: Any = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def work() -> None:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
        before = peak_mb()
        try:
            said = str(function())
        except AudioError as error:
            said = f"{error.kind}: {error}"
        theirs.send((said, peak_mb() - before))

    child = context.Process(target=work)
    child.start()
    assert ours.poll(240)
    answer: tuple[str, float] = ours.recv()
    child.join()
    return answer


def peak_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def long_silence(path: Path, hours: float, rate: int = 4000) -> Path:
    """A compressed file, about 1/100 of what it unfolds into."""
    with soundfile.SoundFile(path, "w", rate, 1, "PCM_16", format="FLAC") as file:
        for _ in range(int(hours * HOUR_S * rate) // 1_000_000 + 1):
            file.write(np.zeros(1_000_000, np.int16))
    return path


@pytest.mark.faults
def test_ten_hours_are_packed_in_little_more_memory_than_they_take(tmp_path: Path) -> None:
    path = long_silence(tmp_path / "long.flac", 10)
    wanted_mb = 10 * HOUR_S * 2000 * 2 / 2**20
    said, grown = growth_mb(lambda: len(read_pcm(path, 2000)))
    print(f"\n10 h: {path.stat().st_size / 1e6:.1f} MB on disk, {wanted_mb:.0f} MB of samples, "
          f"{grown:.0f} MB more memory at the peak")  # fmt: skip
    assert abs(int(said) - 10 * HOUR_S * 2000) < 1_000_000
    assert grown < 2.2 * wanted_mb + 64
    _, grown = growth_mb(lambda: check(path, 0, 10 * HOUR_S, 4000))
    assert grown < 64


@pytest.mark.faults
def test_a_bomb_is_refused_before_it_unfolds(tmp_path: Path) -> None:
    path = long_silence(tmp_path / "bomb.flac", 13)
    said, grown = growth_mb(lambda: read_pcm(path, 2000))
    assert said.startswith("length: ") and "13.1 hours in one clip" in said
    assert "at most 12 hours" in said and grown < 16
    said, _ = growth_mb(lambda: len(read_pcm(path, 2000, 12 * HOUR_S, 60)))
    assert said == "120000"


def test_a_header_that_claims_too_much_takes_no_memory(tmp_path: Path) -> None:
    """A FLAC of 2^31 - 1 samples, six hours at its rate: all but a few are not there."""
    path = tmp_path / "a.flac"
    soundfile.write(path, np.zeros(5000), 96000, "PCM_16")
    content = bytearray(path.read_bytes())
    content[22:26] = struct.pack(">I", 0x7FFFFFFF)
    path.write_bytes(content)
    for function in (
        lambda: read_pcm(path, 8000),
        lambda: read(path),
        lambda: check(path, 0, 9, 96000),
    ):
        said, grown = growth_mb(function)
        assert said.startswith("truncated: "), said
        assert grown < 64


def test_many_channels_are_read_in_small_blocks(tmp_path: Path) -> None:
    path = tmp_path / "wide.wav"
    soundfile.write(path, np.zeros((6000, 1000), np.int16), 8000)  # 12 MB, 24 MB as float32
    said, grown = growth_mb(lambda: len(read_pcm(path, 8000)))
    assert said == "6000" and grown < 24


def test_long_recordings_are_resampled_as_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In blocks of whatever size: what one call gives, but for rounding."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 50_000)
    soundfile.write(tmp_path / "a.wav", noise, 44100, "FLOAT")
    at_once = read_mono(tmp_path / "a.wav", 16000)
    monkeypatch.setattr(audio_io, "_LONG_FRAMES", 10)
    for block in (700, 7000, 1 << 20):
        monkeypatch.setattr(audio_io, "_BLOCK_VALUES", block)
        streamed = read_mono(tmp_path / "a.wav", 16000)
        assert abs(len(streamed) - len(at_once)) <= 1
        n = min(len(streamed), len(at_once))
        np.testing.assert_allclose(streamed[:n], at_once[:n], atol=1e-5)


def test_what_measures_memory_sees_it_grow() -> None:
    assert growth_mb(lambda: np.ones(30_000_000).sum())[1] > 200
