"""Notes from a SoundFont: the MIDI bytes, and how fluidsynth is called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audioinv.audio.soundfont import check_soundfont, fluidsynth, midi_note, render_note
from audioinv.base.errors import UserError
from tests.audio.pretend_fluidsynth import Pretend


@pytest.fixture
def pretend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pretend:
    return Pretend(tmp_path, monkeypatch)


def test_the_midi_file_is_that_of_the_standard() -> None:
    written = midi_note(40, 60, 110, 850, 1000)
    assert written == bytes.fromhex(
        "4d546864 00000006 0000 0001 01f4"  # MThd: format 0, one track, 500 ticks a quarter
        "4d54726b 00000011"  # MTrk, 17 bytes
        "00 c0 28"  # program 40
        "00 90 3c 6e"  # note 60 on at velocity 110
        "86 52 80 3c 40"  # off after 6 * 128 + 82 = 850 ticks
        "81 16 ff 2f 00"  # the end 128 + 22 = 150 ticks later
    )


@pytest.mark.parametrize("held", [1, 127, 128, 16383])
def test_times_are_read_back(held: int) -> None:
    """By the standard's rule: seven bits a byte, the top bit says that more follow."""
    events, value = midi_note(0, 0, 1, held, 16383)[22 + 7 :], 0
    for byte in events:
        value = value << 7 | byte & 127
        if byte < 128:
            break
    assert value == held


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ((128, 60, 64, 1, 2), "program is 128; give 0 to 127"),
        ((0, -1, 64, 1, 2), "note is -1; give 0 to 127"),
        ((0, 60, 0, 1, 2), "velocity is 0; give 1 to 127"),
        ((0, 60, 64, 3, 2), "3 of 2 ms"),
        ((0, 60, 64, 1, 16384), "16383"),
    ],
)
def test_numbers_out_of_range_are_refused(numbers: tuple[int, ...], told: str) -> None:
    with pytest.raises(UserError, match=told):
        midi_note(*numbers)


def test_fluidsynth_is_called_dry_and_without_a_device(pretend: Pretend) -> None:
    samples = render_note(pretend.soundfont, midi_note(0, 69, 100, 850, 1000), 8000, 8000)
    (words,) = pretend.calls()
    for option, value in {"-R": "0", "-C": "0", "-r": "8000", "-T": "wav", "-g": "0.2"}.items():
        assert words[words.index(option) + 1] == value
    assert {"-n", "-i", "-q"} < set(words)
    assert words[-2] == str(pretend.soundfont) and words[-1].endswith(".mid")
    assert not Path(words[-1]).exists(), "the temporary folder is gone"
    expected = 6400 / 32768 * np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)
    np.testing.assert_allclose(samples, expected, atol=2 / 32768)


def test_a_short_rendering_is_filled_up_with_silence(pretend: Pretend) -> None:
    samples = render_note(pretend.soundfont, midi_note(0, 69, 100, 850, 1000), 8000, 12000)
    assert samples.shape == (12000,)
    assert abs(samples[:9600]).max() > 0.1 and not samples[9600:].any()


def test_a_failure_tells_what_fluidsynth_said(
    pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRETEND_FAILS", "1")
    with pytest.raises(UserError, match=r"tiny\.sf2: no such SoundFont"):
        render_note(pretend.soundfont, midi_note(0, 69, 100, 850, 1000), 8000, 8000)


def test_without_the_program_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="apt-get install fluidsynth"):
        fluidsynth()


def test_what_is_no_soundfont_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.sf2"
    with pytest.raises(UserError, match=r"a\.sf2"):
        check_soundfont(path)
    for content in (b"", b"RIFF\x04\0\0\0WAVE", b"sfbk" * 3):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"a\.sf2.*\.sf3"):
            check_soundfont(path)
    path.write_bytes(b"RIFF\x04\0\0\0sfbk")
    check_soundfont(path)
