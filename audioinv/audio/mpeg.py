"""The frames of an mp3 (MPEG audio, layers I to III), walked without decoding them.

ISO/IEC 11172-3 and 13818-3, section 2.4.2.3, have the header of a frame. What tells the length of a
whole file (Xing, Info, VBRI) is no part of the standard.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO

FORGIVEN_BYTES = 64
_RATES = (44100, 48000, 32000)
_KBITS = {  # (MPEG-1, layer): of the indices 1 to 14
    (True, 1): tuple(range(32, 449, 32)),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SEARCHED_BYTES = 1 << 16
_HEAD = re.compile(rb"(?=(\xff[\xe2-\xff][\x10-\xef].))", re.DOTALL)  # also where two overlap


@dataclass(frozen=True)
class Walk:
    """What a walk over all frames found.

    Attributes:
        frames: whole ones, without that of the tag. samples: in each, per channel.
        length: of the first, in bytes. cut: bytes that the last one lacks.
        told: frames that a tag speaks of; None without one.
    """

    frames: int
    samples: int
    length: int
    cut: int
    told: int | None


@lru_cache(4096)
def _frame(head: bytes) -> tuple[int, int, int]:
    """Bytes, samples and rate (Hz) of the frame with this head of four bytes; zeros if it is none.

    Frames of a free format, whose bytes only the next one tells, count as none.
    """
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0, 0, 0
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    index, rate, pad = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer == 4 or index in (0, 15) or rate == 3:
        return 0, 0, 0
    first = version == 3
    hertz = _RATES[rate] >> {3: 0, 2: 1, 0: 2}[version]
    bits = 1000 * _KBITS[first, layer][index - 1]
    if layer == 1:
        return (12 * bits // hertz + pad) * 4, 384, hertz
    samples = 576 if layer == 3 and not first else 1152
    return samples // 8 * bits // hertz + pad, samples, hertz


def begins(head: bytes) -> bool:
    """Whether a file with these first bytes is an mp3."""
    return head[:3] == b"ID3" or _frame(head[:4])[0] > 0


def walk(raw: BinaryIO, at: int, end: int) -> Walk | None:
    """Goes over the frames of a file from byte `at` to `end`; None if there are none."""
    frames = cut = 0
    first: tuple[int, int] | None = None
    told: int | None = None
    while at < end:
        raw.seek(at)
        head = raw.read(4)
        length, samples, _ = _frame(head)
        if frames and len(head) < 4 and head[0] == 0xFF:  # not even a head is there
            cut = 1
            break
        if not length:
            following = _next(raw, at, end)
            if following is None:
                break
            at = following
            continue
        if first is None:
            first = length, samples
            raw.seek(at)
            told = _told(raw.read(min(length, 256)))
            frames -= told is not None
        cut = max(0, at + length - end)
        frames += not cut
        at += length
    return None if first is None else Walk(frames, first[1], first[0], cut, told)


def _told(frame: bytes) -> int | None:
    """How many frames the tag in the first frame tells; None if it has no tag that tells."""
    for name in (b"Xing", b"Info"):
        if (at := frame.find(name)) > 0 and frame[at + 7] & 1:
            return int(struct.unpack(">I", frame[at + 8 : at + 12])[0])
    if (at := frame.find(b"VBRI")) > 0:
        return int(struct.unpack(">I", frame[at + 14 : at + 18])[0])
    return None


def behind_tags(raw: BinaryIO, at: int = 0) -> int:
    """Where the ID3 tags that begin at a byte end."""
    while True:
        raw.seek(at)
        head = raw.read(10)
        if head[:3] != b"ID3" or len(head) < 10:
            return at
        at += 10 + sum((byte & 0x7F) << 7 * (3 - k) for k, byte in enumerate(head[6:]))


def _next(raw: BinaryIO, at: int, end: int) -> int | None:
    """Where the next frame begins, behind tags, zeros and whatever is none: two must follow."""
    while at < end:
        at = behind_tags(raw, at)
        raw.seek(at)
        block = raw.read(_SEARCHED_BYTES)
        for match in _HEAD.finditer(block):
            length, _, rate = _frame(match[1])
            raw.seek(at + match.start() + length)
            if length and _frame(raw.read(4))[2] == rate:
                return at + match.start()
        at += max(1, len(block) - 3)
    return None
