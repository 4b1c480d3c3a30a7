"""What is wrong with an audio file, in words: which findings are errors, and which a warning."""

from __future__ import annotations

import logging
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from audioinv.audio.containers import Found
from audioinv.audio.mpeg import FORGIVEN_BYTES
from audioinv.base.errors import FileError, UserError

LENGTH_TOLERANCE_S = 0.01  # manifests round their seconds, and mp3 encoders pad
LONGEST_S = 12 * 3600  # of one clip: what a pack holds of it stays below 2 GB at 22 kHz
_LOST_BYTES, _LOST_SHARE = 4096, 0.05  # so much behind what the header names is audio, not a note
_BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32, "FLOAT": 32}
_BITS |= {"DOUBLE": 64, "ULAW": 8, "ALAW": 8}
_WRAPPED = ("SDS", "VOC", "MAT5")  # whose audio has heads within
_UNKNOWN_FRAMES = 2**62
_HIGHEST_RATE = 10_000_000  # in Hz; more is a damaged header
LOUDEST = 256.0  # 48 dB above full scale: integers written as floats, or damage
log = logging.getLogger(__name__)


class Decoder(Protocol):
    """What is asked of an open file."""

    frames: int
    channels: int
    format: str
    subtype: str


class AudioError(FileError):
    """Something is wrong with one audio file.

    Its kind is one of missing, unreadable, empty, truncated, joined, unread, non-finite, scale,
    length, sample_rate, cancelled (channels that cancel one another) and silent.
    """


def judge(path: object, found: Found) -> None:
    """Raises an AudioError for a file that was cut or joined, and warns of a wrong size.

    Raises:
        AudioError: truncated, joined or unread.
    """
    if found.missing > FORGIVEN_BYTES:
        raise AudioError(
            "truncated", f"{path}: cut short, its header promises more audio; fetch it again"
        )
    if found.holes:
        raise AudioError(
            "truncated", f"{path}: cut, {found.holes} page(s) in the middle are not there"
        )
    if found.joined:
        raise AudioError(
            "joined",
            f"{path}: another file begins within it, and decoders stop there; take them apart, or "
            "join them anew as wav files: sox ONE.wav TWO.wav BOTH.wav",
        )
    lost = found.data is not None and found.surplus > _LOST_SHARE * found.data
    if lost and found.surplus > _LOST_BYTES:
        raise AudioError(
            "unread",
            f"{path}: {found.surplus} bytes follow the {found.data} that its header speaks of: a "
            "second file, or a size that was never written; for a wav, sox --ignore-length OLD.wav "
            "NEW.wav reads them all, ffmpeg -i OLD.wav NEW.wav leaves them out",
        )
    _warn_of_sizes(path, found)


def judge_rate(path: object, rate: int) -> None:
    """Raises an AudioError for a rate (Hz) that no recording has."""
    if not 0 < rate <= _HIGHEST_RATE:
        raise AudioError("unreadable", f"{path}: declares {rate} Hz")


def content_error(path: object, content: str, rate: int, declared: float) -> AudioError | None:
    """What to say of a file at another rate (Hz) than a manifest declares, or of silence ("")."""
    if rate != declared:
        message = f"{path}: sample rate is {rate} Hz, {declared:g} is declared"
        return AudioError("sample_rate", message)
    if not content:
        return AudioError("silent", f"{path}: digital silence from start to end")
    return None


def judge_frames(path: object, found: Found, file: Decoder, frames: int, odd: int) -> None:
    """Compares how many frames there are with where the decoder stops, and with the bytes.

    Raises:
        AudioError: there are none, or the decoder leaves out more than `odd` of them.
    """
    if frames == 0:
        raise AudioError("empty", f"{path}: holds no samples")
    if frames > _UNKNOWN_FRAMES:
        raise AudioError(
            "unreadable", f"{path}: declares no length; encode it again: ffmpeg -i OLD NEW"
        )
    if file.frames < frames - odd:  # where libsndfile will stop, by its guess
        raise AudioError(
            "unreadable",
            f"{path}: an mp3 of variable rate that does not tell its length; mend it with "
            "ffmpeg -i OLD.mp3 -c copy NEW.mp3",
        )
    if found.data is None or file.subtype not in _BITS or file.format in _WRAPPED:
        return
    left = found.data - frames * file.channels * _BITS[file.subtype] // 8
    if left > max(FORGIVEN_BYTES, file.channels * 8):
        raise AudioError(
            "truncated",
            f"{path}: its header promises {frames} frames, but {left} bytes of audio follow them; "
            "repair it with ffmpeg -i OLD NEW.wav",
        )


def span_of(
    path: object, available: int, sample_rate: int, start_s: float, duration_s: float | None
) -> tuple[int, int]:
    """First frame and number of frames of a part of a file with `available` at a rate in Hz.

    Raises:
        UserError: a senseless part.
        AudioError: it lies outside the file, or is longer than LONGEST_S.
    """
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


def judge_samples(path: object, block: NDArray[np.float32]) -> None:
    """Raises an AudioError for samples that are not finite, or far above full scale."""
    if not np.isfinite(block).all():
        raise AudioError("non-finite", f"{path}: has NaN or infinite samples; repair it")
    if (loudest := max(block.max(), -block.min())) > LOUDEST:
        raise AudioError(
            "scale",
            f"{path}: has samples of {loudest:.3g} where full scale is 1; "
            "divide them by the largest value of the integers that they were",
        )


def _warn_of_sizes(path: object, found: Found) -> None:
    mend = "it is read as it is; ffmpeg -i OLD NEW writes a right header"
    if found.missing:
        warn(f"{path}: {found.missing} byte(s) fewer than its header promises; {mend}")
    if found.surplus:
        warn(f"{path}: {found.surplus} byte(s) follow its audio that no header names; {mend}")
    if found.unmarked:
        warn(f"{path}: its last page is not marked as the last: it may be cut; {mend}")


@cache
def warn(message: str) -> None:
    """Says it once in a process: a file may have many rows."""
    log.warning(message)
