"""Notes rendered from a SoundFont by the program fluidsynth, one at a time, dry."""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from audioinv.audio.io import Samples, read_mono
from audioinv.base.errors import UserError

TICKS_A_QUARTER = 500  # at the standard's tempo, 120 quarters a minute: a tick is a millisecond
HIGHEST = 127  # of a program, a note or a velocity
LONGEST_MS = 0x3FFF  # what two bytes of a time hold
INSTALL = "install it, for example by 'apt-get install fluidsynth'"


def midi_note(program: int, note: int, velocity: int, held_ms: int, whole_ms: int) -> bytes:
    """A standard MIDI file (format 0, 39 bytes) of one note on the first channel.

    Args:
        program: the instrument, General MIDI from 0; 0 to 127.
        note: 0 to 127; 69 is 440 Hz.
        velocity: 1 to 127; 0 would end the note.
        held_ms: from the beginning to the note's end.
        whole_ms: to the end of the file; both times at most 16,383.

    Raises:
        UserError: a number out of range.
    """
    for name, value, low in (("program", program, 0), ("note", note, 0), ("velocity", velocity, 1)):
        if not low <= value <= HIGHEST:
            raise UserError(f"{name} is {value}; give {low} to {HIGHEST}")
    if not 0 < held_ms <= whole_ms <= LONGEST_MS:
        raise UserError(
            f"a note of {held_ms} of {whole_ms} ms; give 0 < held <= whole <= {LONGEST_MS}"
        )
    events = [
        bytes([0, 0xC0, program]),
        bytes([0, 0x90, note, velocity]),
        _time(held_ms) + bytes([0x80, note, 64]),
        _time(whole_ms - held_ms) + bytes([0xFF, 0x2F, 0]),
    ]
    track = b"".join(events)
    header = struct.pack(">4sIHHH", b"MThd", 6, 0, 1, TICKS_A_QUARTER)
    return header + struct.pack(">4sI", b"MTrk", len(track)) + track


def _time(ms: int) -> bytes:
    """Seven bits a byte, the higher first; the higher has its top bit set."""
    return bytes([0x80 | ms >> 7, ms & 0x7F])


def render_note(soundfont: Path, midi: bytes, sample_rate: int, n_samples: int) -> Samples:
    """The mean of both channels of a MIDI file, (n_samples,), without reverb and chorus.

    Args:
        sample_rate: in Hz, 8,000 to 96,000.

    Raises:
        UserError: fluidsynth is not there, or fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        score, sound = Path(folder) / "note.mid", Path(folder) / "note.wav"
        score.write_bytes(midi)
        words = [*_options(sample_rate), "-F", str(sound), str(soundfont.resolve()), str(score)]
        done = subprocess.run([fluidsynth(), *words], capture_output=True, text=True)
        if done.returncode != 0 or not sound.is_file():
            told = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
            raise UserError(f"fluidsynth cannot render from {soundfont}: {told}")
        samples = read_mono(sound, sample_rate)[:n_samples]
    return np.pad(samples, (0, n_samples - len(samples)))


def _options(sample_rate: int) -> list[str]:
    """No audio device, no shell, no talk; no reverb, no chorus; 16-bit wav at the usual gain."""
    quiet = ["-n", "-i", "-q", "-R", "0", "-C", "0", "-g", "0.2", "-r", str(sample_rate)]
    # Samples of the one instrument, and not of the whole SoundFont, are read for each note.
    return [*quiet, "-T", "wav", "-O", "s16", "-o", "synth.dynamic-sample-loading=1"]


def fluidsynth() -> str:
    """The program's path.

    Raises:
        UserError: it is not on PATH.
    """
    if (found := shutil.which("fluidsynth")) is None:
        raise UserError(f"the program fluidsynth is not on PATH; {INSTALL}")
    return found


def check_soundfont(path: Path) -> None:
    """Looks at the first bytes: fluidsynth plays a silent file, and says nothing, without one.

    Raises:
        UserError: the file cannot be read, or is no SoundFont.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(12)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    if head[:4] != b"RIFF" or head[8:] != b"sfbk":
        raise UserError(f"{path} is no SoundFont; give an .sf2 or .sf3 file")
