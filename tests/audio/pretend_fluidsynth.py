"""A `fluidsynth` that records how it is called and plays a sine for the note of its MIDI file."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

PROGRAM = r"""#!{python} -SE
import math, os, struct, sys, wave
words = sys.argv[1:]
rate = int(words[words.index("-r") + 1])
midi = open(words[-1], "rb").read()
with open(os.environ["PRETEND_CALLS"], "a") as calls:
    calls.write("\0".join(words) + "\n")
if os.environ.get("PRETEND_FAILS"):
    sys.exit("no such SoundFont")
program, note, velocity = midi[24], midi[27], midi[28]
silent = program == 2 or os.environ.get("PRETEND_SILENT")  # the second instrument lacks all notes
step = 2 * math.pi * 440 * 2 ** ((note - 69) / 12) / rate
level = 0 if silent else 64 * velocity + program
values = [int(level * math.sin(step * n)) for n in range(int(1.2 * rate))]
with wave.open(words[words.index("-F") + 1], "wb") as file:
    file.setparams((2, 2, rate, 0, "NONE", ""))
    file.writeframes(b"".join(struct.pack("<hh", value, value) for value in values))
"""


class Pretend:
    """The program, first on PATH, and the list of words of each call; `soundfont` is a header."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.record = folder / "calls"
        self.soundfont = folder / "tiny.sf2"
        self.soundfont.write_bytes(b"RIFF\x04\0\0\0sfbk")
        program = folder / "bin" / "fluidsynth"
        program.parent.mkdir()
        program.write_text(PROGRAM.format(python=sys.executable))
        program.chmod(0o755)
        monkeypatch.setenv("PRETEND_CALLS", str(self.record))
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")

    def calls(self) -> list[list[str]]:
        if not self.record.exists():
            return []
        return [line.split("\0") for line in self.record.read_text().splitlines()]
