"""The only place that opens audio files (soundfile: wav, flac, ogg, mp3 and others).

A file that would quietly give less than it promises (cut short, damaged, empty, with NaN) is an
error here, so nothing downstream has to ask.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import soundfile
import soxr  # type: ignore[import-untyped]

from audioinv.audio import faults
from audioinv.audio.containers import Found, find
from audioinv.audio.faults import AudioError, span_of
from audioinv.audio.heard import Heard
from audioinv.audio.mpeg import FORGIVEN_BYTES
from audioinv.audio.pcm import Pcm, to_int16
from audioinv.base.errors import UserError
from audioinv.base.files import atomic_path
from audioinv.data.looks import remedy
from audioinv.data.parallel import probe_files

Samples = npt.NDArray[np.float32]
Part = tuple[float, float | None]  # start and duration in seconds; None goes to the end
Made = TypeVar("Made")

# Endings found when a folder is searched; raw has no header to read.
ENDINGS = frozenset(
    {f".{name.lower()}" for name in soundfile.available_formats() if name != "RAW"}
    | {".aif", ".aifc", ".aiffc", ".amb", ".bw64", ".bwf", ".wave", ".iff", ".8svx", ".sf", ".snd"}
    | {".sph", ".mp1", ".mp2", ".mpa", ".mpga", ".oga", ".opus"}
)

_BLOCK_VALUES = 1 << 21  # of all channels
_LONG_FRAMES = 1 << 24  # six minutes at 44.1 kHz
_NOWHERE = 1 << 62  # where a decoder is after an error: it is opened anew
_HELD_VALUES = 1 << 24  # 64 MB of what was decoded last, for rows that overlap
_ODD_FRAMES = 3 * 1152  # that the decoder of an mp3 without a length may leave out of those counted
# What libsndfile finds its place in to the sample; all others are read through.
_EXACT = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW")


@dataclass(frozen=True)
class AudioInfo:
    """What a file holds: `frames` (samples per channel), `sample_rate` in Hz, `channels`."""

    frames: int
    sample_rate: int
    channels: int


def probe(path: str | Path) -> AudioInfo:
    """The file's length, rate and channels, from its header where the header can be believed.

    Raises:
        AudioError: missing, unreadable, empty, truncated or joined.
    """
    with _open(Path(path)) as sound:
        return AudioInfo(sound.frames, sound.rate, sound.file.channels)


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
        AudioError: missing, unreadable, empty, truncated, joined, non-finite, above LOUDEST, longer
            than LONGEST_S, or the asked part lies outside the file by more than LENGTH_TOLERANCE_S.
    """
    with _open(Path(path)) as sound:
        first, count = span_of(sound.path, sound.frames, sound.rate, start_s, duration_s)
        return np.concatenate(list(_blocks(sound, first, count))), sound.rate


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
    with _open(path) as sound:
        content = _digest(sound, start_s, duration_s)
        return content, faults.content_error(path, content, sound.rate, sample_rate)


def _digest(sound: _Sound, start_s: float, duration_s: float | None) -> str:
    first, count = span_of(sound.path, sound.frames, sound.rate, start_s, duration_s)
    digest = hashlib.sha256(f"{sound.rate} {(count, sound.file.channels)}".encode())
    heard = Heard()
    for block in heard.listen(_blocks(sound, first, count)):
        digest.update(block.tobytes())
    heard.check(sound.path)
    return "" if heard.silent else digest.hexdigest()  # silences are no leakage of one another


def digests(path: Path, parts: Sequence[Part]) -> Iterator[tuple[int, tuple[str, int] | UserError]]:
    """Hash ("" of silence) and rate (Hz) of parts of a file, or what is wrong with each.

    Each comes with its number in `parts`, in the order of their starts: the file is read once.
    """
    return _in_order(path, parts, lambda sound, part: (_digest(sound, *part), sound.rate))


def pcm_parts(
    path: Path, sample_rate: int, parts: Sequence[Part]
) -> Iterator[tuple[int, Pcm | UserError]]:
    """`read_pcm` of parts of a file, in the way of `digests`."""

    def pcm(sound: _Sound, part: Part) -> Pcm:
        return np.concatenate(list(map(to_int16, _mono_blocks(sound, sample_rate, *part))))

    return _in_order(path, parts, pcm)


def _in_order(
    path: Path, parts: Sequence[Part], made: Callable[[_Sound, Part], Made]
) -> Iterator[tuple[int, Made | UserError]]:
    order = sorted(range(len(parts)), key=lambda number: parts[number][0])
    try:
        changed = os.path.getmtime(path) if os.path.exists(path) else 0.0
        sound = _kept(path, os.getcwd(), changed)
    except UserError as error:
        yield from ((number, error) for number in order)
        return
    for number in order:
        try:
            yield number, made(sound, parts[number])
        except UserError as error:
            yield number, error


def read_mono(
    path: str | Path, sample_rate: int, start_s: float = 0.0, duration_s: float | None = None
) -> Samples:
    """Reads as `read` does; returns the mean over channels, resampled to `sample_rate` Hz: (n,).

    Raises:
        AudioError: as `read`; or nothing is left at that rate.
    """
    with _open(Path(path)) as sound:
        return np.concatenate(list(_mono_blocks(sound, sample_rate, start_s, duration_s)))


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
    with _open(Path(path)) as sound:
        yield from map(to_int16, _mono_blocks(sound, sample_rate, start_s, duration_s))


def write_wav(path: str | Path, samples: npt.NDArray[np.floating], sample_rate: int) -> None:
    """Writes (n,) or (n, channels) in [-1, 1) as 16-bit wav, atomically.

    Raises:
        UserError: NaN or infinite samples, or the file cannot be written.
    """
    if not np.isfinite(samples).all():
        raise AudioError("non-finite", f"{path}: refusing to write NaN or infinite samples")
    with atomic_path(path, flush=False) as temporary:
        try:
            soundfile.write(temporary, to_int16(samples), sample_rate, "PCM_16", format="WAV")
        except soundfile.LibsndfileError as error:
            raise UserError(f"cannot write {path}: {error.error_string}") from error


class _Forward(soundfile.SoundFile):
    """Soundfile seeks after each block where it can, which changes what an mp3 gives next."""

    def seekable(self) -> bool:
        return False


class _Sound:
    """An open file, whose next frames `read` gives; `go_to` chooses which.

    Where a place cannot be found to the sample, what lies before it is decoded. `hold` keeps what
    was decoded last, so that a little way back is free.

    Attributes:
        frames: that it truly promises; `odd` of them may be missing at its end. rate: in Hz.
    """

    def __init__(self, path: Path, hold: bool, found: Found) -> None:
        self.path, self.hold = path, hold
        self.odd = FORGIVEN_BYTES if found.missing else 0
        self.file = _Forward(os.fsencode(path))
        self.exact = self.file.subtype.startswith(_EXACT)
        self.rate, self.at = self.file.samplerate, 0
        self._held: list[Samples] = []
        self._begin = self._end = 0  # of what is held
        self.frames = self.file.frames
        if found.frames is not None:
            self.frames, self.odd = found.frames, _ODD_FRAMES

    def go_to(self, frame: int) -> None:
        """Lets `read` go on at a frame."""
        if self.exact and frame != self.file.tell():
            self.file.seek(frame)
        if not self.exact and frame < self._begin:
            self.file.close()
            self.file = _Forward(os.fsencode(self.path))
            self._held, self._begin, self._end = [], 0, 0
        self.at = frame

    def read(self, count: int) -> Samples:
        """At most `count` frames, (n, channels), of which there is one unless the file ends."""
        if self.exact:
            block = self._decode(count)
        else:
            while self._end <= self.at:
                step = min(_BLOCK_VALUES // self.file.channels + 1, self.at - self._end + count)
                if not self._more(step):
                    return np.empty((0, self.file.channels), np.float32)
            block = self._from_held(count)
        self.at += len(block)
        return block

    def _decode(self, count: int) -> Samples:
        try:
            block: Samples = self.file.read(count, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError:
            self._held, self._begin, self._end = [], _NOWHERE, _NOWHERE
            raise
        return block

    def _more(self, count: int) -> bool:
        """Decodes on, and drops what is too long ago."""
        block = self._decode(count)
        self._held.append(block)
        self._end += len(block)
        most = _HELD_VALUES // self.file.channels if self.hold else 0
        while self._end - self._begin - len(self._held[0]) >= most and len(self._held) > 1:
            self._begin += len(self._held.pop(0))
        return len(block) > 0

    def _from_held(self, count: int) -> Samples:
        begin = self._begin
        for block in self._held:
            if self.at < begin + len(block):
                return block[self.at - begin :][:count]
            begin += len(block)
        raise IndexError(f"frame {self.at} is not held")


@contextmanager
def _open(path: Path) -> Iterator[_Sound]:
    sound = _opened(path)
    try:
        yield sound
    finally:
        sound.file.close()


@lru_cache(1)
def _kept(path: Path, folder: str, changed: float) -> _Sound:
    """The file that was asked for last stays open: the next shard of a pack goes on in it."""
    return _opened(path, hold=True)


def _opened(path: Path, hold: bool = False) -> _Sound:
    """The open file, whose container was looked through."""
    try:
        if not path.exists():
            raise AudioError("missing", f"{path}: no such file")
        with open(path, "rb") as raw:
            if not raw.read(1):
                raise AudioError("empty", f"{path}: the file has no bytes")
            found = find(raw, path.suffix.lower() == ".mp3")
        faults.judge(path, found)
        sound = _Sound(path, hold, found)
    except OSError as error:
        raise AudioError("unreadable", f"{path}: {error.strerror or error}") from error
    except soundfile.LibsndfileError as error:
        raise AudioError("unreadable", f"{path}: {error.error_string}{remedy(path)}") from error
    except TypeError as error:  # soundfile wants more to be told of .raw
        raise AudioError(
            "unreadable", f"{path}: samples without a header; save it as wav"
        ) from error
    faults.judge_rate(path, sound.rate)
    faults.judge_frames(path, found, sound.file, sound.frames, sound.odd)
    if sound.file.format == "FLAC":  # the only one whose header is silent about its bytes
        next(_blocks(sound, sound.frames - 1, 1))
    return sound


def _mono_blocks(
    sound: _Sound, sample_rate: int, start_s: float, duration_s: float | None
) -> Iterator[Samples]:
    """The mean over channels at `sample_rate` Hz, in blocks (n,) of which at least one holds some.

    A long recording is resampled as it is read; a short one, whose start and end count, at once.
    """
    first, count = span_of(sound.path, sound.frames, sound.rate, start_s, duration_s)
    read = _blocks(sound, first, count)
    heard = Heard()
    mono: Iterator[Samples] = map(heard.mix, read)
    if sound.rate != sample_rate:
        mono = resampled(mono, count, sound.rate, sample_rate)
    empty = True
    try:
        for block in mono:
            if len(block):
                empty = False
                yield block
    except (RuntimeError, ValueError) as error:  # rates too far apart for soxr
        raise AudioError(
            "unreadable", f"{sound.path}: {sound.rate} Hz to {sample_rate} Hz: {error}"
        ) from error
    heard.check(sound.path)
    if empty:
        raise AudioError("empty", f"{sound.path}: is shorter than one sample at {sample_rate} Hz")


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


def _blocks(sound: _Sound, first: int, count: int) -> Iterator[Samples]:
    """`count` frames from frame `first`, in blocks (n, channels).

    Memory is taken for what is there, not for what a header promises.
    """
    path, done = sound.path, 0
    size = max(1, _BLOCK_VALUES // sound.file.channels)
    while done < count:
        try:
            if not done:
                sound.go_to(first)
            block = sound.read(min(size, count - done))
        except (soundfile.LibsndfileError, MemoryError, ValueError) as error:
            # It opened, so the header is whole: what it promises is not there. A damaged mp3 may
            # send libsndfile behind its end, where soundfile has a negative number of frames left.
            raise AudioError(
                "truncated", f"{path}: cannot be read to its promised end, cut or damaged ({error})"
            ) from error
        done += len(block)
        if not len(block):
            if done and first + done >= sound.frames - sound.odd:
                return
            raise AudioError(
                "truncated",
                f"{path}: promises {first + count} frames, {first + done} are there",
            )
        faults.judge_samples(path, block)
        yield block
