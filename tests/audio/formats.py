"""Every container and codec that soundfile opens, and docs/formats.md, which says how each fares.

python -m tests.audio.formats > docs/formats.md
"""

from __future__ import annotations

import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from audioinv.audio.io import AudioError, check, probe, read

RATES = {"WVE": 8000, "XI": 44100}
NARROW = ("GSM610", "G721_32", "G723_24", "G723_40", "NMS_ADPCM")  # telephone codecs: 8 kHz
UNREADABLE = {("AIFF", "DWVW_12"), ("AIFF", "DWVW_16"), ("AIFF", "DWVW_24")}
SECONDS = 3


@dataclass(frozen=True)
class Kind:
    """A container and a codec, and how a file of it is written."""

    container: str
    codec: str
    write: Callable[[Path, np.ndarray], None]
    rate: int

    @property
    def name(self) -> str:
        return f"{self.container} {self.codec}"


def noise(n: int, seed: int = 0) -> np.ndarray:
    """A tone and some noise, (n,)."""
    tone = 0.3 * np.sin(np.arange(n) / 5)
    return (tone + 0.05 * np.random.default_rng(seed).standard_normal(n)).astype("f4")


def kinds() -> Iterator[Kind]:
    """All that libsndfile writes, and kinds of MPEG audio that are made by hand."""
    for container in soundfile.available_formats():
        for codec in soundfile.available_subtypes(container):
            if container in ("RAW", "MP3") or (container, codec) in UNREADABLE:
                continue
            if codec == "MPEG_LAYER_III":
                continue
            rate = 8000 if codec.startswith(NARROW) else RATES.get(container, 16000)
            yield Kind(container, codec, written(container, codec, rate), rate)
    for codec, mode in (("III, constant rate", "CONSTANT"), ("III, variable rate", "VARIABLE")):
        yield Kind("MP3", codec, mp3(mode), 44100)
    yield Kind("MP3", "III, no length tag", untagged, 44100)
    yield Kind("MP3", "II", mp2, 44100)
    yield Kind("WAV", "MPEG_LAYER_III", mp3_in_wav, 44100)


def written(container: str, codec: str, rate: int) -> Callable[[Path, np.ndarray], None]:
    return lambda path, x: soundfile.write(path, x, rate, codec, format=container)


def mp3(mode: str) -> Callable[[Path, np.ndarray], None]:
    return lambda path, x: soundfile.write(
        path, x, 44100, format="MP3", bitrate_mode=mode, compression_level=0.4
    )


def untagged(path: Path, x: np.ndarray, mode: str = "CONSTANT") -> None:
    """Without the frame of the Xing or Info tag."""
    mp3(mode)(path, x)
    content = path.read_bytes()
    tag = max(content.find(b"Xing"), content.find(b"Info"))
    path.write_bytes(content[content.index(b"\xff\xfb", tag) :])


def mp2(path: Path, x: np.ndarray) -> None:
    """Silence: a head for 128 kbit/s at 44.1 kHz in mono, and no bits for any band."""
    path.write_bytes((b"\xff\xfd\x80\xc0" + bytes(413)) * (len(x) // 1152))


def mp3_in_wav(path: Path, x: np.ndarray) -> None:
    untagged(path, x)
    data = path.read_bytes()
    form = struct.pack("<HHIIHHHHIHHH", 0x55, 1, 44100, 16000, 1, 0, 12, 1, 2, 417, 1, 1393)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form
    body += b"data" + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)


def whole_of(path: Path) -> np.ndarray:
    """What soundfile gives, (frames, channels)."""
    return soundfile.read(path, dtype="float32", always_2d=True)[0]


def refused(path: Path) -> bool:
    """Whether preparing names the file, and whether validating does: both or neither."""
    found = []
    for look in (lambda: probe(path), lambda: check(path, 0, 0.1, 8000)):
        try:
            look()
            found.append(False)
        except AudioError:
            found.append(True)
    if found[0] != found[1]:
        raise AssertionError(f"{path}: probe and check disagree: {found}")
    return found[0]


def fare(kind: Kind, folder: Path) -> tuple[str, str, str]:
    """Whether a file of a kind is read as soundfile reads it, whole and in part, and whether one
    that was cut, at half and at 95 %, is named."""
    path = folder / ("a.mp3" if kind.container == "MP3" else "a.audio")
    kind.write(path, noise(SECONDS * kind.rate))
    whole, got = whole_of(path), read(path)[0]
    same = np.array_equal(whole, got)
    part = read(path, 1.0, 0.5)[0]
    rate = soundfile.info(path).samplerate
    equal = np.array_equal(part, whole[rate : rate + len(part)]) and len(part) == round(rate / 2)
    content = path.read_bytes()
    cuts = []
    for share in (0.5, 0.95):
        path.write_bytes(content[: int(share * len(content)) - 1])
        cuts.append(refused(path))
    words = {(True, True): "named", (False, False): "its header tells no length"}
    return "yes" if same else "no", "yes" if equal else "no", words.get((*cuts,), "half")


def seconds(path: Path, rate: int) -> float:
    """The least of five times that it takes to check a file, in seconds."""
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        check(path, 0, 19.0, rate)
        times.append(time.perf_counter() - begun)
    return min(times)


def speed(kind: Kind, folder: Path) -> float:
    """How many times as long as the wav of 16 bits a file of 20 s takes."""
    path, wav = folder / "b.audio", folder / "b.wav"
    kind.write(path, noise(20 * kind.rate))
    samples, rate = soundfile.read(path)
    soundfile.write(wav, samples, rate, "PCM_16")
    return seconds(path, rate) / seconds(wav, rate)


TEXT = """# Which files are read

Every container and codec that soundfile {version} (libsndfile {library}) opens. Made by
`python -m tests.audio.formats > docs/formats.md`. `tests/audio/test_formats.py` holds all of it
but the last column.

- **whole**, **part**: `prepare`, `validate` and `pack` give the samples that soundfile gives: all
  of them, and half a second from the first second on.
- **cut**: a file that lost half of its bytes, or 5 % of them, is named by `prepare` and `validate`.
  Where no header tells the length, what was cut cannot be found.
- **time**: checking 20 s, against the wav of 16 bits of it. Measured on two shared cores: a rough
  guide.

What else is said of a file:

- A size in its header that is wrong by at most 64 bytes is a warning.
- Two files that were joined into one are named: ogg streams, flac, mp3, wav and all others.
  Decoders read the first alone, or the header of the second as sound.
- Pages that are missing within an ogg are named. One that ends between two pages, without the mark
  of its end, is a warning: some recorders never write it.
- An mp3 without a length tag is named if it was cut, unless exactly between two of its frames.
- An mp3 of variable rate without a length tag is named where the decoder would stop too early.
  `ffmpeg -i OLD.mp3 -c copy NEW.mp3` mends it. A flac without a length is named too.
- Rows of one file are cut as it is decoded once, in order. No seek is made where it would not be
  exact to the sample.
- `validate` and `pack` decode in a child process. A file that kills it is named in one line.

| container | codec | whole | part | cut | time |
| --- | --- | --- | --- | --- | --- |
"""


def main() -> None:
    """Prints the page."""
    text = TEXT.format(version=soundfile.__version__, library=soundfile.__libsndfile_version__)
    print(text, end="")
    for kind in kinds():
        with tempfile.TemporaryDirectory() as folder:  # an SD2 leaves a second file beside it
            row = (kind.container, kind.codec, *fare(kind, Path(folder)))
            print(f"| {' | '.join(row)} | {speed(kind, Path(folder)):.1f} |", flush=True)


if __name__ == "__main__":
    main()
