"""What the bytes of an audio file say beside its decoder: how much audio its header promises.

libsndfile shortens most files that were cut without a word, and reads the first alone of two that
were joined. Nothing is decoded here: headers, chunks and pages are walked.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from audioinv.audio import mpeg

_STREAMED_BYTES = 0x7F000000  # tools that write to a pipe declare this or more: no promise
# Tags that players write behind anything, and chunks that stand there without their padding.
_BEHIND = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"LIST", b"id3 ", b"bext")
_SEARCHED_BYTES = 1 << 20


@dataclass(frozen=True)
class Found:
    """What was found in a file.

    Attributes:
        missing: bytes that its header promises and that are not there.
        surplus: bytes behind all that the header names, which are neither tags nor zeros.
        joined: another file begins within it. holes: pages that are missing in its middle.
        unmarked: it ends without the mark of an end that its container has.
        frames: counted, of a format whose header may not tell (samples per channel).
        data: bytes of audio, as far as they are there; None where the container does not tell.
    """

    missing: int = 0
    surplus: int = 0
    joined: bool = False
    holes: int = 0
    unmarked: bool = False
    frames: int | None = None
    data: int | None = None


def find(raw: BinaryIO, as_mpeg: bool = False) -> Found:
    """Looks through an open file.

    Args:
        as_mpeg: its name says mp3, whatever its first bytes are.
    """
    try:
        return _find(raw, os.fstat(raw.fileno()).st_size, as_mpeg)
    except (ValueError, ZeroDivisionError, IndexError, struct.error):
        return Found()  # a header of nonsense, of which the decoder will say more


def _find(raw: BinaryIO, size: int, as_mpeg: bool) -> Found:
    head = _at(raw, 0, 32)
    if head[:4] == b"OggS":
        return _ogg(raw, size)
    if _at(raw, start := mpeg.behind_tags(raw), 4) == b"fLaC":
        return Found(joined=_occurs(raw, start + 1, re.compile(b"fLaC[\0\x80]\0\0\x22"), 8))
    for starts, promise in _PROMISES.items():
        if re.match(starts, head, re.DOTALL):
            return _compared(raw, size, *promise(raw, size))
    if as_mpeg or mpeg.begins(head):
        return _mpeg(raw, 0, size)
    if re.match(_UNMEASURED, head, re.DOTALL):
        return Found(joined=_occurs(raw, 1, re.compile(re.escape(head[:12])), 12))
    return Found()


def _compared(raw: BinaryIO, size: int, start: int, length: int, end: int) -> Found:
    """Audio of `length` bytes from `start`, in a file all of whose parts end at `end`."""
    behind, missing = _at(raw, end, 1 << 16), max(0, start + length - size)
    joined = behind.lstrip(b"\0")[:4] == _at(raw, 0, 4)
    as_mpeg = _at(raw, 0, 4) == b"RIFF" and _at(raw, 20, 2) == b"\x55\0"
    if as_mpeg and not joined and not missing:
        return _mpeg(raw, start, start + length)
    explained = not behind.strip(b"\0") or behind.startswith(_BEHIND)
    surplus = 0 if explained else size - end
    return Found(missing, surplus, joined, data=max(0, min(start + length, size) - start))


def _mpeg(raw: BinaryIO, start: int, end: int) -> Found:
    walk = mpeg.walk(raw, start, end)
    if walk is None:
        return Found()
    # Of a frame that lacks one byte nothing is decoded.
    missing = walk.cut and walk.cut + mpeg.FORGIVEN_BYTES
    if walk.told is None:
        return Found(missing=missing, frames=walk.frames * walk.samples)
    lost = walk.told - walk.frames - 1  # one more or less: some count the tag
    missing += max(0, lost) * walk.length
    return Found(missing=missing, joined=lost < -2)


def _at(raw: BinaryIO, offset: int, count: int) -> bytes:
    if not 0 <= offset < 1 << 62:  # as a damaged size may say
        return b""
    raw.seek(offset)
    return raw.read(count)


def _occurs(raw: BinaryIO, start: int, pattern: re.Pattern[bytes], length: int) -> bool:
    """Whether a pattern of `length` bytes occurs from byte `start` on."""
    raw.seek(start)
    held = b""
    while block := raw.read(_SEARCHED_BYTES):
        if pattern.search(held + block):
            return True
        held = block[1 - length :]
    return False


def _ogg(raw: BinaryIO, size: int) -> Found:
    """Pages of RFC 3533: their lengths, numbers and marks of the first and the last."""
    at, holes, begun, last = 0, 0, False, False
    numbers: dict[bytes, int] = {}
    while at < size:
        page = _at(raw, at, 27 + 255)
        if page[:4] != b"OggS":
            rest = not page.strip(b"\0") or page.startswith(_BEHIND)
            return Found(surplus=0 if rest else size - at, holes=holes, unmarked=not last)
        at += 27 + page[26] + sum(page[27 : 27 + page[26]]) if len(page) > 26 else 27
        if at > size:
            return Found(missing=at - size + mpeg.FORGIVEN_BYTES, holes=holes)
        first, last, serial = bool(page[5] & 2), bool(page[5] & 4), page[14:18]
        if first and begun:
            return Found(joined=True)
        begun = not first
        (number,) = struct.unpack("<I", page[18:22])
        holes += max(0, number - numbers.get(serial, number - 1) - 1)
        numbers[serial] = number
    return Found(holes=holes, unmarked=not last)


def _chunks(
    raw: BinaryIO, at: int, size: int, layout: str, pad: int = 2, whole: bool = False
) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and length of chunks; `whole` counts their own heads in the length."""
    head, own = struct.calcsize(layout), _at(raw, 0, 4)
    while len(found := _at(raw, at, head)) == head:
        name, length = struct.unpack(layout, found)
        if name[:4] == own or not re.match(rb"[ -~]{4}", name):
            return
        length = length - head if whole else length
        if length < 0 and name != b"data":
            return
        yield name, at + head, length
        if length < 0:
            return
        at += head + length + -length % pad


def _in_chunks(
    at: int, layout: str, data: bytes, pad: int = 2, whole: bool = False
) -> Callable[[BinaryIO, int], tuple[int, int, int]]:
    def promise(raw: BinaryIO, size: int) -> tuple[int, int, int]:
        """Start and length of the chunk with the audio, and where the last chunk ends."""
        start, length, end, long = 0, 0, at, 0
        for name, begin, count in _chunks(raw, at, size, layout, pad, whole):
            if name == b"ds64":
                long = struct.unpack("<8xQ", _at(raw, begin, 16))[0]
            if name[: len(data)] == data and not start:
                start, length = begin, count
                if long and length == 0xFFFFFFFF:
                    length = long
                if length < 0 or (layout[-1] == "I" and length >= _STREAMED_BYTES and not long):
                    length = size - begin
                count = length
            elif start and begin + count > size and name.isalnum():
                end = size  # a note behind the audio that is cut
                break
            end = begin + count
        return (start, length, max(end, start + length)) if start else (0, 0, size)

    return promise


def _fields(
    layout: str, length_of: Callable[..., tuple[int, int]]
) -> Callable[[BinaryIO, int], tuple[int, int, int]]:
    def promise(raw: BinaryIO, size: int) -> tuple[int, int, int]:
        head = _at(raw, 0, struct.calcsize(layout))
        if len(head) < struct.calcsize(layout):
            return 0, 0, size
        start, length = length_of(*struct.unpack(layout, head))
        length = size - start if length < 0 else length
        return start, length, start + length

    return promise


def _nist(raw: BinaryIO, size: int) -> tuple[int, int, int]:
    text = _at(raw, 0, 1024)
    start = int(text[8:16])
    product = 1
    for name in (b"sample_count", b"channel_count", b"sample_n_bytes"):
        value = re.search(name + rb" -\w+ (\d+)", text)
        if value is None or b"shorten" in text:
            return start, size - start, size
        product *= int(value[1])
    return start, product, start + product


def _voc(raw: BinaryIO, size: int) -> tuple[int, int, int]:
    """Blocks: a kind, three bytes of length, data; kind 0 ends the file."""
    start = at = int.from_bytes(_at(raw, 20, 2), "little")
    while len(block := _at(raw, at, 4)) == 4 and block[0]:
        at += 4 + int.from_bytes(block[1:], "little")
    return start, at + 1 - start, at + 1


def _sds(raw: BinaryIO, size: int) -> tuple[int, int, int]:
    """A dump for MIDI: 120 bytes a packet of 127, seven bits a byte."""
    head = _at(raw, 0, 21)
    count = head[10] | head[11] << 7 | head[12] << 14
    packets = -(-count // (120 // -(-head[6] // 7)))
    return 21, packets * 127, 21 + packets * 127


def _mat4(raw: BinaryIO, size: int) -> tuple[int, int, int]:
    at, order = 0, ">" if _at(raw, 2, 2) in (b"\x03\xe8", b"\x03\xf2") else "<"
    start = length = 0
    for _ in range(2):  # the rate, then the samples
        head = _at(raw, at, 20)
        if len(head) < 20:
            break
        kind, rows, columns, _, name = struct.unpack(f"{order}5i", head)
        start, length = at + 20 + name, rows * columns * (8, 4, 4, 2, 2, 1)[kind // 10 % 10 % 6]
        if length <= 0:
            return 0, 0, size
        at = start + length
    return start, max(length, 0), start + max(length, 0)


def _mat5(raw: BinaryIO, size: int) -> tuple[int, int, int]:
    order = "<" if _at(raw, 126, 2) == b"IM" else ">"
    start = length = end = 0
    for at in range(2):  # the rate, then the samples
        start = 128 if not at else end
        head = _at(raw, start, 8)
        if len(head) < 8:
            break
        end = start + 8 + struct.unpack(f"{order}4xI", head)[0]
        length = end - start
    return start, length, end


def _avr(*head: int) -> tuple[int, int]:
    stereo, bits, frames = head
    return 128, frames * (2 if stereo else 1) * bits // 8


def _au(start: int, length: int) -> tuple[int, int]:
    return start, -1 if length == 0xFFFFFFFF else length


# How the first 32 bytes look -> start and length of the audio, and the end of all.
_PROMISES: dict[bytes, Callable[[BinaryIO, int], tuple[int, int, int]]] = {
    rb"RIFF....WAVE|RF64....WAVE": _in_chunks(12, "<4sI", b"data"),
    rb"RIFX....WAVE": _in_chunks(12, ">4sI", b"data"),
    rb"riff\x2e\x91\xcf\x11": _in_chunks(40, "<16sq", b"data", pad=8, whole=True),
    rb"FORM....AIF[FC]": _in_chunks(12, ">4sI", b"SSND"),
    rb"FORM....(8SVX|16SV)": _in_chunks(12, ">4sI", b"BODY"),
    rb"caff": _in_chunks(8, ">4sq", b"data", pad=1),
    rb"\.snd": _fields(">4xII", _au),
    rb"dns\.": _fields("<4xII", _au),
    rb"2BIT": _fields(">12xHH10xI", _avr),
    rb"\x01\x04": _fields("<20xxB8xI8x", lambda stereo, frames: (42, frames * 2 * (1 + stereo))),
    rb"ALawSoundFile\*\*": _fields(">18xI", lambda length: (32, length)),
    rb"NIST_1A": _nist,
    rb"Creative Voice File": _voc,
    rb"\xf0\x7e.\x01": _sds,
    rb"MATLAB 5.0": _mat5,
    rb"\0{4}\x01\0\0\0\x01\0\0\0|\0\0\x03\xe8\0\0\0\x01\0\0\0\x01": _mat4,
}  # fmt: skip
# paf, pvf, ircam, xi: no length in the header
_UNMEASURED = rb" paf|fap |PVF1|Extended Instrument|\x64\xa3[\x01-\x04]\0|\0[\x01-\x04]\xa3\x64"
