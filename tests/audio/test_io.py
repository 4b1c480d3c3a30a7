"""Opening audio: formats, channels, rates, parts, and every way a file can be bad."""

from __future__ import annotations

import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import soundfile

from audioinv.audio.io import (
    AudioError,
    AudioInfo,
    check,
    probe,
    probe_all,
    read,
    read_mono,
    write_wav,
)
from audioinv.audio.pcm import to_int16
from audioinv.base.errors import UserError

RATE = 16000
LOSSLESS = ("wav", "flac")
FORMATS = (*LOSSLESS, "ogg", "mp3")


def tone(seconds: float = 1.0, rate: int = RATE, hertz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype("f4")


def noise(n: int, channels: int = 1) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal((n, channels))).astype("f4")


def cut(source: Path, target: Path, share: float) -> Path:
    content = source.read_bytes()
    target.write_bytes(content[: int(len(content) * share)])
    return target


@pytest.mark.parametrize("ending", FORMATS)
def test_every_format_gives_what_was_written(tmp_path: Path, ending: str) -> None:
    stereo = np.stack([tone(), tone(hertz=660)], axis=1)
    path = tmp_path / f"a.{ending}"
    soundfile.write(path, stereo, RATE)
    assert probe(path) == AudioInfo(len(stereo), RATE, 2)
    samples, rate = read(path)
    assert (samples.shape, samples.dtype, rate) == (stereo.shape, np.float32, RATE)
    tolerance = 1 / 32768 if ending in LOSSLESS else 0.08
    np.testing.assert_allclose(samples[500:-500], stereo[500:-500], atol=tolerance)


@pytest.mark.parametrize("ending", FORMATS)
def test_a_part_is_the_slice_of_the_whole(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    soundfile.write(path, noise(RATE, 2), RATE)
    whole, _ = read(path)
    part, _ = read(path, start_s=0.25, duration_s=0.5)
    np.testing.assert_allclose(part, whole[4000:12000], atol=1e-6)
    rest, _ = read(path, start_s=0.75)
    np.testing.assert_allclose(rest, whole[12000:], atol=1e-6)


def test_mono_is_the_mean_over_channels(tmp_path: Path) -> None:
    stereo = np.stack([tone(), -0.5 * tone()], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, RATE, subtype="FLOAT")
    np.testing.assert_allclose(read_mono(tmp_path / "a.wav", RATE), 0.25 * tone(), atol=1e-7)


@pytest.mark.parametrize("hertz", [440.0, 5000.0])
def test_resampling_agrees_with_scipy(tmp_path: Path, hertz: float) -> None:
    original = tone(1.0, 44100, hertz)
    soundfile.write(tmp_path / "a.wav", original, 44100, subtype="FLOAT")
    ours = read_mono(tmp_path / "a.wav", RATE)
    reference = scipy.signal.resample_poly(original.astype(np.float64), 160, 441)
    assert len(ours) == RATE
    np.testing.assert_allclose(ours[800:-800], reference[800:-800], atol=2e-3)


def test_resampling_removes_what_the_lower_rate_cannot_hold(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1.0, 44100, 12000), 44100)
    assert np.abs(read_mono(tmp_path / "a.wav", RATE)[800:-800]).max() < 1e-3


def test_wav_of_16_bits_comes_back_exactly(tmp_path: Path) -> None:
    pcm = np.random.default_rng(0).integers(-32768, 32768, 4000).astype(np.int16)
    write_wav(tmp_path / "new" / "a.wav", pcm / 32768.0, RATE)
    assert soundfile.info(tmp_path / "new" / "a.wav").subtype == "PCM_16"
    np.testing.assert_array_equal(soundfile.read(tmp_path / "new" / "a.wav", dtype="int16")[0], pcm)
    np.testing.assert_array_equal(to_int16(read_mono(tmp_path / "new" / "a.wav", RATE)), pcm)
    assert os.listdir(tmp_path / "new") == ["a.wav"]


def test_int16_clips_and_rounds() -> None:
    samples = np.array([-2.0, -1.0, 0.6 / 32768, 1.0, 5.0])
    assert to_int16(samples).tolist() == [-32768, -32768, 1, 32767, 32767]


def bad_file(kind: str, folder: Path) -> Path:
    """A file with something wrong with it."""
    path = folder / f"{kind}.wav"
    if kind == "empty":
        soundfile.write(path, noise(0), RATE)
    elif kind == "empty-bytes":
        path.touch()
    elif kind == "unreadable":
        path.write_text("this is no audio " * 100)
    elif kind == "non-finite":
        samples = noise(100)
        samples[50] = np.nan
        soundfile.write(path, samples, RATE, subtype="FLOAT")
    elif kind == "scale":  # integers of 16 bits, written as they are
        soundfile.write(path, 20000 * noise(100), RATE, subtype="FLOAT")
    return path


@pytest.mark.parametrize(
    "kind", ["missing", "empty", "empty-bytes", "unreadable", "non-finite", "scale"]
)
def test_a_bad_file_is_named_with_its_fault(tmp_path: Path, kind: str) -> None:
    path = bad_file(kind, tmp_path)
    with pytest.raises(AudioError, match=str(path)) as caught:
        read(path)
    assert caught.value.kind == kind.removesuffix("-bytes")
    copy = pickle.loads(pickle.dumps(caught.value))  # as it comes back from a worker process
    assert (copy.kind, str(copy)) == (caught.value.kind, str(caught.value))


@pytest.mark.parametrize("share", [0.5, 0.95])
@pytest.mark.parametrize("ending", FORMATS)
def test_a_truncated_file_is_refused(tmp_path: Path, ending: str, share: float) -> None:
    whole = tmp_path / f"whole.{ending}"
    soundfile.write(whole, noise(3 * RATE), RATE)
    path = cut(whole, tmp_path / f"cut.{ending}", share)
    with pytest.raises(AudioError, match="cut") as caught:
        read(path)
    assert caught.value.kind == "truncated"
    assert len(read(whole)[0]) == 3 * RATE


def untagged_mp3(folder: Path, samples: np.ndarray, mode: str, rate: int = 44100) -> Path:
    """An mp3 without the Xing or Info tag that tells its length."""
    path = folder / "a.mp3"
    soundfile.write(path, samples, rate, bitrate_mode=mode, compression_level=0.2)
    content = path.read_bytes()
    tag = max(content.find(b"Xing"), content.find(b"Info"))
    path.write_bytes(content[content.index(b"\xff\xfb", tag) :])
    return path


def test_an_mp3_without_a_length_is_counted(tmp_path: Path) -> None:
    """libsndfile guesses it from the first frame: here twice too long."""
    samples = np.concatenate([np.zeros((3 * 44100, 1), "f4"), noise(3 * 44100)])
    path = untagged_mp3(tmp_path, samples, "VARIABLE")
    frames = probe(path).frames
    assert soundfile.info(path).frames > 1.3 * frames
    assert len(read(path)[0]) == frames == pytest.approx(len(samples), abs=2400)


@pytest.mark.parametrize("rate", [44100, 48000])
def test_an_mp3_of_constant_rate_without_a_length_is_counted(tmp_path: Path, rate: int) -> None:
    path = untagged_mp3(tmp_path, noise(3 * rate), "CONSTANT", rate)
    assert len(read(path)[0]) == probe(path).frames == pytest.approx(3 * rate, abs=2400)


def test_an_mp3_that_libsndfile_would_shorten_is_refused(tmp_path: Path) -> None:
    samples = np.concatenate([noise(3 * 44100), np.zeros((3 * 44100, 1), "f4")])
    path = untagged_mp3(tmp_path, samples, "VARIABLE")
    assert soundfile.info(path).frames < len(samples) / 2
    with pytest.raises(AudioError, match=r"a\.mp3.*ffmpeg -i OLD\.mp3 -c copy NEW\.mp3"):
        read(path)


def test_a_streamed_wav_without_a_length_is_read(tmp_path: Path) -> None:
    """What a tool writes that cannot go back to fill in the size."""
    path = tmp_path / "a.wav"
    write_wav(path, tone(), RATE)
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert len(read(path)[0]) == RATE


def test_a_part_outside_the_file_is_refused_with_both_lengths(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", tone(), RATE)
    with pytest.raises(AudioError, match=r"1\.000 s.*0\.500 to 1\.200 s") as caught:
        read(tmp_path / "a.wav", 0.5, 0.7)
    assert caught.value.kind == "length"
    with pytest.raises(AudioError, match=r"1\.000 to 1\.000 s"):
        read(tmp_path / "a.wav", 1.0)
    assert len(read(tmp_path / "a.wav", 0.5, 0.505)[0]) == 8000  # rounded seconds are forgiven


@pytest.mark.parametrize(("start", "duration"), [(-1, None), (0, 0), (0, -1), (float("nan"), 1)])
def test_senseless_parts_are_refused(tmp_path: Path, start: float, duration: float | None) -> None:
    write_wav(tmp_path / "a.wav", tone(), RATE)
    with pytest.raises(UserError, match=rf"start.*{start}.*{duration}.*start >= 0.*duration > 0"):
        read(tmp_path / "a.wav", start, duration)


def test_writing_refuses_nan_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="NaN"):
        write_wav(tmp_path / "a.wav", np.array([0.0, np.nan]), RATE)
    assert not list(tmp_path.iterdir())


def test_probing_many_names_every_bad_file(tmp_path: Path) -> None:
    write_wav(tmp_path / "good.wav", tone(), RATE)
    bad = [bad_file(kind, tmp_path) for kind in ("missing", "unreadable")]
    assert probe_all([tmp_path / "good.wav"]) == [AudioInfo(RATE, RATE, 1)]
    with pytest.raises(UserError) as caught:
        probe_all([bad[0], tmp_path / "good.wav", bad[1]])
    assert all(str(path) in str(caught.value) for path in bad)
    assert "good.wav" not in str(caught.value)


def test_an_mp3_whose_decoder_runs_behind_its_end(tmp_path: Path) -> None:
    """Its first header is gone and another is found, of another rate: the position exceeds it."""
    path = tmp_path / "a.mp3"
    sine = 0.3 * np.sin(np.arange(900) / 5)
    soundfile.write(path, np.stack([sine, -sine], 1), 8000, "MPEG_LAYER_III", format="MP3")
    whole = path.read_bytes()
    path.write_bytes(b"\0" + whole[1:139] + whole[75:])
    with pytest.raises(UserError, match=r"damaged|lasts"):
        check(path, 0.14, 0.05, 8000)


def test_what_the_decoder_refuses_comes_with_a_remedy(tmp_path: Path) -> None:
    """A wav with two chunks of audio: libsndfile says "SF_INFO struct incomplete"."""
    soundfile.write(tmp_path / "a.wav", np.zeros(100), 8000, "PCM_16")
    whole = (tmp_path / "a.wav").read_bytes()
    twice = whole + whole[36:]
    (tmp_path / "a.wav").write_bytes(twice[:4] + struct.pack("<I", len(twice) - 8) + twice[8:])
    with pytest.raises(AudioError, match="fetch it again, or convert it: ffmpeg"):
        probe(tmp_path / "a.wav")
