"""General MIDI notes: 48 instruments of twelve families, 42 pitches each, at two velocities.

Its labels want opposite invariances: the program stays under a pitch shift, the pitch class does
not, and wants nothing of the timbre. The harder tasks hold programs out.

    root/notes.csv      file, family, program, note, pitch_class, velocity, split
    root/audio/<file>   one second each

With --soundfont, `prepare` renders that layout by fluidsynth first: any SoundFont will do.
"""

from __future__ import annotations

import argparse
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from audioinv.audio.corpora.timed import timed
from audioinv.audio.io import read_mono, write_wav
from audioinv.audio.soundfont import check_soundfont, fluidsynth, midi_note, render_note
from audioinv.base.checked import checked
from audioinv.base.errors import UserError
from audioinv.base.files import read_json, write_json, write_text
from audioinv.data.download import Download
from audioinv.data.later import pandas as pd
from audioinv.data.lists import draw_split, locate, read_table, write_table
from audioinv.data.manifest import Corpus
from audioinv.data.task import Task

NAME = "gm_notes"
TITLE = "General MIDI notes"
LICENCE = "MIT (the SoundFont FluidR3 GM, by Frank Wen)"
SOURCE = "rendered by fluidsynth from the SoundFont FluidR3 GM, Debian package fluid-soundfont-gm"
DESCRIPTION = (
    "4,014 notes of a second; program, pitch class and velocity, and family and pitch class of "
    "unseen programs"
)
ACCESS = (
    "made, not fetched: give the folder with notes.csv and audio/ as --root, or let 'audioinv "
    "prepare gm_notes --soundfont FILE.sf2' render it there (4,032 notes, in minutes; it needs the "
    "program fluidsynth)"
)
HOURS = 1.1
SAMPLE_RATE = 16000

TASKS = (
    Task("program", "program"),
    Task("pitch_class", "pitch_class"),
    Task("velocity", "velocity"),
    Task("family_unseen_program", "family", groups="program"),
    Task("pitch_class_unseen_program", "pitch_class", groups="program"),
)

LIST = "notes.csv"
SETTINGS = "settings.json"  # of what was rendered here
COLUMNS = ("file", "family", "program", "note", "pitch_class", "velocity", "split")

FAMILIES = (
    *("piano", "chromatic_percussion", "organ", "guitar", "bass", "strings", "ensemble", "brass"),
    *("reed", "pipe", "synth_lead", "synth_pad"),
)  # of eight programs each
PROGRAMS = range(0, 8 * len(FAMILIES), 2)
NOTES = range(40, 82)
VELOCITIES = (64, 110)
HELD_MS, WHOLE_MS = 850, 1000
TEST, VALID = 0.25, 0.15
SILENT = 1e-3  # peak, of full scale: the instrument does not reach the note
RENDERING = 1  # raise it when the same SoundFont gives other audio


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the notes."""
    parser.add_argument(
        "--soundfont",
        type=Path,
        metavar="FILE",
        help="render the notes from it under --root first, by the program fluidsynth",
    )


def downloads() -> tuple[Download, ...]:
    """Nothing: the notes are rendered."""
    return ()


def prepare(
    root: str | Path, out: str | Path, seed: int = 0, soundfont: str | Path | None = None
) -> Path:
    """Writes manifest.csv and corpus.json of the notes under `root` into `out`.

    The split is that of notes.csv. Where that is rendered here, it is drawn for each program and
    note, so that both velocities are in one part: a quarter for test, 15 % for validation.

    Args:
        seed: of the split of notes that are rendered.
        soundfont: renders the notes from this file (.sf2 or .sf3) first. A rendering that was
            stopped goes on. Notes that its instruments do not reach are left out.

    Returns:
        the manifest's path.

    Raises:
        UserError: no notes there, or of another SoundFont or seed, fluidsynth is missing or fails,
            or files cannot be read or written.
    """
    if soundfont is not None:
        _render(Path(root), Path(soundfont), seed)
    root = locate(root, (LIST, "audio"), f"{SOURCE}, or render it: --soundfont FILE.sf2")
    table = read_table(root / LIST, COLUMNS)
    rows = table.drop(columns="file").assign(
        id=table["file"].map(lambda name: Path(name).stem),
        path="audio/" + table["file"],
        # As text in the order of numbers, families take turns among the folds of unseen programs:
        # all are trained on in each. Without zeros two of them are not.
        program=table["program"].str.zfill(3),
    )
    source, licence = _origin(root)
    corpus = Corpus(NAME, TITLE, source, licence, "", SAMPLE_RATE, TASKS)
    return write_table(root, out, timed(root, rows), corpus)


def _origin(root: Path) -> tuple[str, str]:
    """Source and licence: of what was rendered here, those of its SoundFont."""
    path = root / SETTINGS
    if not path.exists():
        return SOURCE, LICENCE
    name = checked(read_json(path), f"{path} of a rendering", soundfont=str)["soundfont"]
    return f"rendered by fluidsynth from the SoundFont {name}", f"that of the SoundFont {name}"


def _render(root: Path, soundfont: Path, seed: int) -> None:
    """Writes audio/ and, last, notes.csv."""
    check_soundfont(soundfont)
    fluidsynth()
    _claim(root, soundfont, seed)
    if (root / LIST).exists():
        return
    rows = pd.DataFrame([_row(*note) for note in product(PROGRAMS, NOTES, VELOCITIES)])
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        heard = list(pool.map(lambda row: _heard(root, soundfont, row), rows.to_dict("records")))
    if not any(heard):
        raise UserError(f"every note of {soundfont} is silent; give a General MIDI SoundFont")
    rows = _split(rows, seed)[heard]
    write_text(root / LIST, rows[list(COLUMNS)].to_csv(index=False, lineterminator="\n"))


def _claim(root: Path, soundfont: Path, seed: int) -> None:
    """Notes in `root` what is rendered there, so that nothing else is ever taken for it."""
    with open(soundfont, "rb") as file:
        key = hashlib.file_digest(file, "sha256").hexdigest()
    settings = {"rendering": RENDERING, "soundfont": soundfont.name, "sha256": key, "seed": seed}
    path = root / SETTINGS
    if not path.exists():
        if there := [name for name in (LIST, "audio") if (root / name).exists()]:
            raise UserError(
                f"{root} has {' and '.join(there)}, not rendered here; leave out --soundfont, or "
                "give another --root"
            )
        write_json(path, settings)
    elif read_json(path) != settings:
        raise UserError(
            f"{root} holds notes of another SoundFont or seed (see {path}); give another --root, "
            "or delete that folder"
        )


def _row(program: int, note: int, velocity: int) -> dict[str, Any]:
    family = FAMILIES[program // 8]
    return {
        "file": f"{family}-p{program:03d}-n{note:03d}-v{velocity:03d}.wav",
        "family": family,
        "program": program,
        "note": note,
        "pitch_class": note % 12,
        "velocity": velocity,
    }


def _heard(root: Path, soundfont: Path, row: dict[str, Any]) -> bool:
    """Renders a note that is not there yet; whether it is one that can be heard."""
    path = root / "audio" / row["file"]
    if not path.exists():
        midi = midi_note(row["program"], row["note"], row["velocity"], HELD_MS, WHOLE_MS)
        n_samples = SAMPLE_RATE * WHOLE_MS // 1000
        write_wav(path, render_note(soundfont, midi, SAMPLE_RATE, n_samples), SAMPLE_RATE)
    return bool(np.abs(read_mono(path, SAMPLE_RATE)).max() > SILENT)


def _split(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    """`rows` with a split, drawn over notes and even over programs."""
    unit = rows["file"].str.rpartition("-v")[0]
    units = rows[["program"]].assign(id=unit).drop_duplicates("id")
    drawn = draw_split(units, seed, strata=["program"], test=TEST, valid=VALID)
    return rows.assign(split=unit.map(drawn.set_index("id")["split"]))
