"""The only place that opens audio files (soundfile: wav, flac, ogg, mp3 and others).

A file that would quietly give less than it promises (cut short, damaged, empty, with NaN) is an
error here, so nothing downstream has to ask.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile
import soxr  # type: ignore[import-untyped]

from audioinv.audio.heard import Heard
from audioinv.base.errors import FileError, UserError
from audioinv.base.files import atomic_path
from audioinv.data.looks import looks_like
from audioinv.data.parallel import probe_files

Samples = npt.NDArray[np.float32]
Pcm = npt.NDArray[np.int16]

LOUDEST = 256.0  # 48 dB above full scale: integers written as floats, or damage
LENGTH_TOLERANCE_S = 0.01  # manifests round their seconds, and mp3 encoders pad
# Endings found when a folder is searched; raw has no header to read.
FULL_SCALE = 32768.0  # of the int16 that packs of sounds hold
ENDINGS = frozenset(
    {f".{name.lower()}" for name in soundfile.available_formats() if name != "RAW"}
    | {".aif", ".aifc", ".aiffc", ".amb", ".bw64", ".bwf", ".wave", ".iff", ".8svx", ".sf", ".snd"}
    | {".sph", ".mp1", ".mp2", ".mpa", ".mpga", ".oga", ".opus"}
)

_STREAMED_BYTES = 0x7FFF0000  # tools that write wav to a pipe declare this or more: no promise
_OGG_PAGE_BYTES = 65307  # the largest page of RFC 3533
_UNKNOWN_FRAMES = 2**62
_BLOCK_FRAMES = 1 << 20
_BLOCK_VALUES = 1 << 21  # of all channels together
_LONG_FRAMES = 1 << 24  # six minutes at 44.1 kHz
_HIGHEST_RATE = 10_000_000  # in Hz; more is a damaged header
LONGEST_S = 12 * 3600  # of one clip: what a pack holds of it stays below 2 GB at 22 kHz
_BUFFER_BYTES = 1 << 13  # what a decoder may leave unread of a whole file


class AudioError(FileError):
    """Something is wrong with one audio file.

    Its kind is one of missing, unreadable, empty, truncated, non-finite, scale, length,
    sample_rate, cancelled (channels that cancel one another) and silent.
    """


@dataclass(frozen=True)
class AudioInfo:
    """What a file holds: `frames` (samples per channel), `sample_rate` in Hz, `channels`."""

    frames: int
    sample_rate: int
    channels: int


def probe(path: str | Path) -> AudioInfo:
    """The file's length, rate and channels, from its header where the header can be believed.

    Raises:
        AudioError: missing, unreadable, empty, or (wav and ogg, where the size tells) truncated.
    """
    with _open(Path(path)) as (file, frames):
        return AudioInfo(frames, file.samplerate, file.channels)


def probe_all(paths: Sequence[Path]) -> list[AudioInfo]:
    """`probe` of every file, in parallel.

    Raises:
        UserError: files that cannot be read; the message names them all.
    """
    return probe_files(probe, paths)


def read(
    path: str | Path, start_s: float = 0.0, duration_s: float | None = None
) -> tuple[Samples, int]:
    """Reads a file, or `duration_s` seconds of it from `start_s`.

    Returns:
        samples (frames, channels), nominally in [-1, 1], and the file's sample rate in Hz.

    Raises:
        AudioError: missing, unreadable, empty, truncated, non-finite, above LOUDEST, longer than
            LONGEST_S, or the asked part lies outside the file by more than LENGTH_TOLERANCE_S.
    """
    path = Path(path)
    with _open(path) as (file, available):
        first, count = _span(path, available, file.samplerate, start_s, duration_s)
        return np.concatenate(list(_blocks(path, file, first, count))), file.samplerate


def check(
    path: Path, start_s: float, duration_s: float, sample_rate: float
) -> tuple[str, AudioError | None]:
    """Reads what a manifest's row promises.

    Returns:
        a hash of the samples ("" of silence), and an error where the file's rate is not
            `sample_rate` Hz, or where all is silent.

    Raises:
        AudioError: as `read`.
    """
    with _open(path) as (file, available):
        rate = file.samplerate
        first, count = _span(path, available, rate, start_s, duration_s)
        digest = hashlib.sha256(f"{rate} {(count, file.channels)}".encode())
        heard = Heard()
        for block in heard.listen(_blocks(path, file, first, count)):
            digest.update(block.tobytes())
    heard.check(path)
    content = "" if heard.silent else digest.hexdigest()  # silences are no leakage of one another
    if rate != sample_rate:
        message = f"{path}: sample rate is {rate} Hz, {sample_rate:g} is declared"
        return content, AudioError("sample_rate", message)
    if heard.silent:
        return content, AudioError("silent", f"{path}: digital silence from start to end")
    return content, None


def read_mono(
    path: str | Path, sample_rate: int, start_s: float = 0.0, duration_s: float | None = None
) -> Samples:
    """Reads as `read` does; returns the mean over channels, resampled to `sample_rate` Hz: (n,).

    Raises:
        AudioError: as `read`; or nothing is left at that rate.
    """
    return np.concatenate(list(_mono_blocks(Path(path), sample_rate, start_s, duration_s)))


def read_pcm(
    path: str | Path, sample_rate: int, start_s: float = 0.0, duration_s: float | None = None
) -> Pcm:
    """`read_mono` in 16 bits, (n,), in little more memory than they take.

    Raises:
        AudioError: as `read_mono`.
    """
    return np.concatenate(list(pcm_blocks(path, sample_rate, start_s, duration_s)))


def pcm_blocks(
    path: str | Path, sample_rate: int, start_s: float = 0.0, duration_s: float | None = None
) -> Iterator[Pcm]:
    """What `read_pcm` gives, in blocks (n,): of a long file a few minutes at a time.

    Raises:
        AudioError: as `read_mono`.
    """
    return map(to_int16, _mono_blocks(Path(path), sample_rate, start_s, duration_s))


def to_int16(samples: npt.NDArray[np.floating]) -> Pcm:
    """16-bit samples: rounded, clipped to the range. Exact for what came from 16-bit audio."""
    return np.clip(np.rint(samples * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def write_wav(path: str | Path, samples: npt.NDArray[np.floating], sample_rate: int) -> None:
    """Writes (n,) or (n, channels) in [-1, 1) as 16-bit wav, atomically.

    Raises:
        AudioError: NaN or infinite samples.
        UserError: the file cannot be written.
    """
    if not np.isfinite(samples).all():
        raise AudioError("non-finite", f"{path}: refusing to write NaN or infinite samples")
    with atomic_path(path, flush=False) as temporary:
        try:
            soundfile.write(temporary, to_int16(samples), sample_rate, "PCM_16", format="WAV")
        except soundfile.LibsndfileError as error:
            raise UserError(f"cannot write {path}: {error.error_string}") from error


@contextmanager
def _open(path: Path) -> Iterator[tuple[soundfile.SoundFile, int]]:
    """Yields the open file and the number of frames it truly promises."""
    try:
        if not path.exists():
            raise AudioError("missing", f"{path}: no such file")
        with open(path, "rb") as raw:
            if os.fstat(raw.fileno()).st_size == 0:
                raise AudioError("empty", f"{path}: the file has no bytes")
            if _is_cut(raw):
                raise AudioError("truncated", f"{path}: cut short, its header promises more audio")
            counted = _count_frames(path) if _lacks_length(raw) else None
        file = soundfile.SoundFile(path)
    except OSError as error:
        raise AudioError("unreadable", f"{path}: {error.strerror or error}") from error
    except soundfile.LibsndfileError as error:
        raise AudioError("unreadable", f"{path}: {error.error_string}{looks_like(path)}") from error
    except TypeError as error:  # soundfile wants more to be told of .raw
        raise AudioError(
            "unreadable", f"{path}: samples without a header; save it as wav"
        ) from error
    with file:
        frames = file.frames if counted is None else counted
        if frames == 0:
            raise AudioError("empty", f"{path}: holds no samples")
        if frames > _UNKNOWN_FRAMES:
            raise AudioError("unreadable", f"{path}: declares no length; encode it again")
        if not 0 < file.samplerate <= _HIGHEST_RATE:
            raise AudioError("unreadable", f"{path}: declares {file.samplerate} Hz")
        yield file, frames


def _span(
    path: Path, available: int, sample_rate: int, start_s: float, duration_s: float | None
) -> tuple[int, int]:
    """First frame and number of frames of the asked part."""
    if not start_s >= 0 or (duration_s is not None and not duration_s > 0):
        raise UserError(
            f"{path}: start is {start_s} s, duration {duration_s} s; give start >= 0, duration > 0"
        )
    length_s = available / sample_rate
    end_s = length_s if duration_s is None else start_s + duration_s
    first = round(start_s * sample_rate)
    if end_s > length_s + LENGTH_TOLERANCE_S or first >= available:
        raise AudioError(
            "length",
            f"{path}: lasts {length_s:.3f} s but {start_s:.3f} to {end_s:.3f} s is asked for",
        )
    wanted = available if duration_s is None else max(1, round(duration_s * sample_rate))
    count = min(wanted, available - first)
    if count > LONGEST_S * sample_rate:
        raise AudioError(
            "length",
            f"{path}: {count / sample_rate / 3600:.1f} hours in one clip; give several rows, each "
            f"with start and duration, of at most {LONGEST_S // 3600} hours",
        )
    return first, count


def _mono_blocks(
    path: Path, sample_rate: int, start_s: float, duration_s: float | None
) -> Iterator[Samples]:
    """The mean over channels at `sample_rate` Hz, in blocks (n,) of which at least one holds some.

    A long recording is resampled as it is read; a short one, whose start and end count, at once.
    """
    with _open(path) as (file, available):
        first, count = _span(path, available, file.samplerate, start_s, duration_s)
        read = _blocks(path, file, first, count)
        heard = Heard()
        mono: Iterator[Samples] = map(heard.mix, read)
        if file.samplerate != sample_rate:
            mono = resampled(mono, count, file.samplerate, sample_rate)
        empty = True
        try:
            for block in mono:
                if len(block):
                    empty = False
                    yield block
        except (RuntimeError, ValueError) as error:  # rates too far apart for soxr
            raise AudioError(
                "unreadable", f"{path}: {file.samplerate} Hz to {sample_rate} Hz: {error}"
            ) from error
        heard.check(path)
        if empty:
            raise AudioError("empty", f"{path}: is shorter than one sample at {sample_rate} Hz")


def resampled(
    mono: Iterator[Samples], count: int, from_rate: int, to_rate: int
) -> Iterator[Samples]:
    """Blocks (n,) of `count` samples at a rate in Hz, at another."""
    if count <= _LONG_FRAMES:
        yield soxr.resample(np.concatenate(list(mono)), from_rate, to_rate, quality="HQ")
        return
    stream = soxr.ResampleStream(from_rate, to_rate, 1, quality="HQ")
    for block in mono:
        count -= len(block)
        yield stream.resample_chunk(block, last=count == 0)


def _blocks(path: Path, file: soundfile.SoundFile, first: int, count: int) -> Iterator[Samples]:
    """`count` frames from frame `first`, in blocks (n, channels).

    Memory is taken for what is there, not for what a header promises.
    """
    size = max(1, _BLOCK_VALUES // file.channels)
    done = 0
    while done < count:
        try:
            if not done:
                file.seek(first)
            block: Samples = file.read(min(size, count - done), dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, MemoryError, ValueError) as error:
            # It opened, so the header is whole: what it promises is not there. A damaged mp3 may
            # send libsndfile behind its end, where soundfile has a negative number of frames left.
            raise AudioError(
                "truncated", f"{path}: cannot be read to its promised end, cut or damaged ({error})"
            ) from error
        done += len(block)
        if not len(block):
            raise AudioError(
                "truncated",
                f"{path}: promises {first + count} frames, {first + done} are there",
            )
        if not np.isfinite(block).all():
            raise AudioError("non-finite", f"{path}: has NaN or infinite samples; repair it")
        if (loudest := max(block.max(), -block.min())) > LOUDEST:
            raise AudioError(
                "scale",
                f"{path}: has samples of {loudest:.3g} where full scale is 1; "
                "divide them by the largest value of the integers that they were",
            )
        yield block


def _is_cut(raw: BinaryIO) -> bool:
    """Whether a wav's data or an ogg's last page runs past the end: libsndfile shortens both."""
    size = os.fstat(raw.fileno()).st_size
    head = raw.read(12)
    if head[:4] == b"RIFF" and head[8:] == b"WAVE":
        return _wav_is_cut(raw, size)
    return head[:4] == b"OggS" and _ogg_is_cut(raw, size)


def _wav_is_cut(raw: BinaryIO, size: int) -> bool:
    while len(header := raw.read(8)) == 8:
        name, length = struct.unpack("<4sI", header)
        if name == b"data":
            return length < _STREAMED_BYTES and raw.tell() + length > size
        raw.seek(length + length % 2, os.SEEK_CUR)
    return False


def _ogg_is_cut(raw: BinaryIO, size: int) -> bool:
    raw.seek(max(0, size - _OGG_PAGE_BYTES))
    tail = raw.read()
    page = tail[max(0, tail.rfind(b"OggS")) :]
    if len(page) < 27 or len(page) < 27 + page[26]:
        return True
    return len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]])


def _lacks_length(raw: BinaryIO) -> bool:
    """Whether this is an mp3 without a Xing, Info or VBRI tag: its length is only a guess."""
    raw.seek(0)
    head = raw.read(10)
    size = 0
    if head[:3] == b"ID3":  # ten bytes, the last four of them the size in seven bits each
        for byte in head[6:]:
            size = size << 7 | byte & 0x7F
        size += len(head)
    raw.seek(size)
    frame = raw.read(256)
    is_mp3 = len(frame) > 1 and frame[0] == 0xFF and frame[1] & 0xE0 == 0xE0
    return is_mp3 and not any(tag in frame for tag in (b"Xing", b"Info", b"VBRI"))


def _count_frames(path: Path) -> int:
    """The number of frames of an mp3 whose header does not tell, by decoding them.

    libsndfile guesses the length from the size and the first frame, and stops there: where a guess
    was too low, bytes stay unread.
    """
    with open(path, "rb") as raw, soundfile.SoundFile(raw) as file:
        # Not SoundFile.blocks: it fills up to the guess.
        frames = sum(iter(lambda: len(file.read(_BLOCK_FRAMES, dtype="float32")), 0))
        unread = os.fstat(raw.fileno()).st_size - raw.tell()
        if frames == file.frames and unread > _BUFFER_BYTES:
            raise AudioError(
                "unreadable",
                f"{path}: an mp3 of variable rate that does not tell its length; mend it with "
                "ffmpeg -i OLD.mp3 -c copy NEW.mp3",
            )
    return frames
