"""What is said of odd files: wrong sizes, missing pages, tags, zeros; and rows of one file."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audioinv.audio import faults, io
from audioinv.audio.io import AudioError, check, digests, pcm_parts, probe, read
from audioinv.audio.pcm import to_int16
from tests.audio.formats import mp3, noise, untagged, whole_of

RATE = 16000


def wav(path: Path, size: int = 0, behind: bytes = b"") -> Path:
    """A second of noise in 16 bits, whose data chunk declares `size` bytes more than there are."""
    soundfile.write(path, noise(RATE), RATE, format="WAV")
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = struct.pack("<I", 2 * RATE + size)
    path.write_bytes(bytes(content) + behind)
    return path


def said_of(path: Path, caplog: pytest.LogCaptureFixture) -> list[str]:
    """The warnings; the file must be read as soundfile reads it."""
    faults.warn.cache_clear()
    caplog.clear()
    whole = whole_of(path)
    np.testing.assert_array_equal(read(path)[0], whole)
    np.testing.assert_array_equal(read(path, 0.5, 0.25)[0], whole[8000:12000])
    assert probe(path).frames == len(whole)
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("size", [1, 2, 8, 36, 44, 64])
def test_a_size_that_is_a_little_too_large_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, size: int
) -> None:
    (said,) = said_of(wav(tmp_path / "a.wav", size), caplog)
    assert "a.wav" in said and f"{size} byte(s) fewer" in said and "ffmpeg" in said


@pytest.mark.parametrize(
    ("size", "behind"), [(-8, b""), (-44, b""), (0, b"odd"), (0, b"\x81" * 900)]
)
def test_a_size_that_is_a_little_too_small_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, size: int, behind: bytes
) -> None:
    (said,) = said_of(wav(tmp_path / "a.wav", size, behind), caplog)
    assert f"{len(behind) - size} byte(s) follow" in said


@pytest.mark.parametrize(
    "behind",
    [
        bytes(5000), b"TAG" + bytes(125), b"LIST" + struct.pack("<I", 4) + b"INFO",
        b"LIST\xff\xff\0\0half a note", b"ID3\x03\0\0\0\0\0\x64" + b"x" * 100,
    ],
)  # fmt: skip
def test_tags_zeros_and_notes_behind_the_audio_are_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, behind: bytes
) -> None:
    assert not said_of(wav(tmp_path / "a.wav", 0, behind), caplog)


@pytest.mark.parametrize("size", [-RATE, -2 * RATE])
def test_a_size_that_was_never_written_is_named(tmp_path: Path, size: int) -> None:
    """soundfile gives half of the file, or nothing."""
    path = wav(tmp_path / "a.wav", size)
    with pytest.raises(AudioError, match=r"16000 bytes follow|32000 bytes follow") as caught:
        probe(path)
    assert caught.value.kind == "unread" and "--ignore-length" in str(caught.value)


def id3(size: int) -> bytes:
    return b"ID3\x03\0\0" + bytes([0, 0, size >> 7, size & 127]) + b"t" * size


@pytest.mark.parametrize(
    "before", [b"", id3(100), id3(100) + id3(3000), bytes(700), bytes(9000), id3(50) + bytes(700)]
)
@pytest.mark.parametrize("behind", [b"", b"TAG" + bytes(125), bytes(3000), b"APETAGEX" + b"x" * 99])
@pytest.mark.parametrize("tagged", [True, False])
def test_tags_and_zeros_around_an_mp3_are_nothing(
    tmp_path: Path, before: bytes, behind: bytes, tagged: bool
) -> None:
    path = tmp_path / "a.mp3"
    (mp3("CONSTANT") if tagged else untagged)(path, noise(44100))
    plain = read(path)[0]
    path.write_bytes(before + path.read_bytes() + behind)
    np.testing.assert_array_equal(read(path)[0], plain)
    assert probe(path).frames == len(plain)


def test_a_wav_named_mp3_is_a_wav(tmp_path: Path) -> None:
    assert probe(wav(tmp_path / "a.mp3")).frames == RATE


def pages(path: Path, codec: str) -> list[bytes]:
    soundfile.write(path, noise(20 * 48000), 48000, codec, format="OGG")
    content = path.read_bytes()
    return [b"OggS" + page for page in content.split(b"OggS")[1:]]


@pytest.mark.parametrize("codec", ["VORBIS", "OPUS"])
def test_pages_that_an_ogg_lacks_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, codec: str
) -> None:
    path = tmp_path / "a.ogg"
    whole = pages(path, codec)
    path.write_bytes(b"".join(whole[:6] + whole[8:]))
    with pytest.raises(AudioError, match="2 page") as caught:
        probe(path)
    assert caught.value.kind == "truncated"
    path.write_bytes(b"".join(whole[:-2]))  # it ends with a page, which is not marked as the last
    (said,) = said_of_ogg(path, caplog)
    assert "it may be cut" in said
    path.write_bytes(b"".join(whole) + bytes(100))
    assert not said_of_ogg(path, caplog)


def said_of_ogg(path: Path, caplog: pytest.LogCaptureFixture) -> list[str]:
    faults.warn.cache_clear()
    caplog.clear()
    np.testing.assert_array_equal(read(path)[0], whole_of(path))
    return [record.getMessage() for record in caplog.records]


def test_tags_before_a_flac_are_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, noise(RATE), RATE)
    path.write_bytes(id3(300) + path.read_bytes())
    assert len(read(path)[0]) == RATE


# Rows of one file

COMPRESSED = {
    "v.mp3": mp3("VARIABLE"),
    "c.mp3": untagged,
    "a.ogg": lambda path, x: soundfile.write(path, x, 44100, "VORBIS"),
    "a.caf": lambda path, x: soundfile.write(path, x, 44100, "ALAC_16"),
    "a.flac": lambda path, x: soundfile.write(path, x, 44100, "PCM_16"),
}
PARTS = [(5.0, 1.0), (0.0, 1.0), (5.5, 2.0), (3.3, 0.01), (0.5, 8.0), (1.0, None), (9.0, 5.0)]


@pytest.mark.parametrize("name", COMPRESSED)
@pytest.mark.parametrize("held", [1 << 24, 1000])
def test_parts_are_slices_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, held: int
) -> None:
    """To the sample, in any order, overlapping, and where little of what was decoded is held."""
    monkeypatch.setattr(io, "_HELD_VALUES", held)
    monkeypatch.setattr(io, "_BLOCK_VALUES", 5000)
    path = tmp_path / name
    loud = np.repeat(np.linspace(0.01, 1, 10), 44100).astype("f4")
    COMPRESSED[name](path, loud * noise(len(loud)))
    whole = whole_of(path)[:, 0]
    parts, hashes = dict(pcm_parts(path, 44100, PARTS)), dict(digests(path, PARTS))
    for number, (start, duration) in enumerate(PARTS[:-1]):
        end = len(whole) if duration is None else round((start + duration) * 44100)
        np.testing.assert_array_equal(parts[number], to_int16(whole[round(start * 44100) : end]))
        lasting = (len(whole) / 44100 - start) if duration is None else duration
        assert hashes[number] == (check(path, start, lasting, 44100)[0], 44100)
    assert "9.000 to 14.000 s" in str(parts[6]) and "9.000 to 14.000 s" in str(hashes[6])


@pytest.mark.parametrize("name", COMPRESSED)
def test_many_rows_decode_a_file_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / name
    COMPRESSED[name](path, noise(20 * 44100))
    decoded = []
    true = io._Forward.read
    monkeypatch.setattr(
        io._Forward, "read", lambda self, n, **k: decoded.append(len(b := true(self, n, **k))) or b
    )
    parts = [(k / 2, 1.0) for k in range(38)]
    for some in (parts[:20], parts[20:]):  # as two shards of a pack ask for them
        assert not [e for _, e in pcm_parts(path, RATE, some) if isinstance(e, Exception)]
    most = 2.1 if name == "a.flac" else 1.0  # which goes back to where a part begins
    assert sum(decoded) <= most * 20.2 * 44100


@pytest.mark.parametrize(
    ("container", "endian"),
    [("WAV", "BIG"), ("AU", "LITTLE"), ("AIFF", "LITTLE"), ("CAF", "LITTLE"), ("MAT4", "LITTLE")],
)
def test_cuts_are_found_in_either_order_of_bytes(
    tmp_path: Path, container: str, endian: str
) -> None:
    path = tmp_path / "a.audio"
    x = np.stack([noise(RATE), noise(RATE, 1)], 1)
    soundfile.write(path, x, RATE, "PCM_16", endian, container)
    assert probe(path).frames == RATE
    path.write_bytes(path.read_bytes()[: 2 * RATE])
    with pytest.raises(AudioError, match="cut short") as caught:
        probe(path)
    assert caught.value.kind == "truncated"
