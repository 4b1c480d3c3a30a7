"""Notes and noises: sounds of every kind that a synthesiser draws, to pre-train on without a
licence to ask.

Tones, struck bars, frequency modulation, chirps, noises and clicks in mixtures, rooms and poor
recordings (see `audioinv.audio.anything`). Nothing is downloaded: `prepare` renders as many as are
wanted.

    root/<split>/000000.wav     256 sounds, one after the other
"""

from __future__ import annotations

import argparse
import os
from functools import partial
from pathlib import Path

import numpy as np

from audioinv.audio.corpora.rendered import check_sizes, claim
from audioinv.audio.io import write_wav
from audioinv.base.errors import UserError
from audioinv.base.files import read_json, write_json
from audioinv.data.download import Download
from audioinv.data.later import pandas as pd
from audioinv.data.manifest import Corpus, write_manifest
from audioinv.data.parallel import Local, map_all
from audioinv.data.task import Task

NAME = "notes_and_noises"
TITLE = "Notes and noises: synthesised sounds of every kind"
LICENCE = "CC0-1.0"
SOURCE = "rendered by audioinv; nothing to download"
DESCRIPTION = "as many synthesised sounds as wanted: tones, bells, chirps, noises, clicks, mixed"
ACCESS = "made, not fetched: 'audioinv prepare notes_and_noises' renders it"
HOURS = 5.8
SAMPLE_RATE = 16000

TASKS = (Task("kind", "kind"), Task("pitch", "pitch", "regression", unit="MIDI number"))

RENDERING = 1  # raise it when the same settings give other audio
BLOCK = 256  # sounds in a file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `audioinv prepare notes_and_noises`."""
    parser.add_argument("--n_train", type=int, default=20000, help="training sounds")
    parser.add_argument("--n_valid", type=int, default=500, help="validation sounds")
    parser.add_argument("--n_test", type=int, default=500, help="test sounds")
    parser.add_argument("--sample_rate", type=int, default=SAMPLE_RATE, help="in Hz")
    parser.add_argument(
        "--duration_s", type=float, default=1.0, help="length of a sound in seconds"
    )
    parser.add_argument("--nj", type=int, default=2, help="processes that render")


def downloads() -> tuple[Download, ...]:
    """Nothing: `prepare` renders the sounds."""
    return ()


def prepare(
    root: str | Path,
    out: str | Path,
    seed: int = 0,
    n_train: int = 20000,
    n_valid: int = 500,
    n_test: int = 500,
    sample_rate: int = SAMPLE_RATE,
    duration_s: float = 1.0,
    nj: int = 2,
) -> Path:
    """Renders the wav files under `root`, writes manifest.csv and corpus.json under `out`.

    Files already rendered with the same settings stay; the same settings give the same files.

    Returns:
        the manifest's path.

    Raises:
        UserError: a number out of range, a file that cannot be written, or `root` holds sounds of
            other settings or something else.
    """
    sizes = {"train": n_train, "valid": n_valid, "test": n_test}
    check_sizes(sizes)
    if sample_rate < 8000:
        raise UserError(f"sample_rate is {sample_rate} Hz; give 8000 or more")
    if not 0.25 <= duration_s <= 60:
        raise UserError(f"duration_s is {duration_s}; give 0.25 to 60")
    root = Path(root)
    settings = {"rendering": RENDERING, "seed": seed, "sizes": sizes}
    claim(root, NAME, settings | {"sample_rate": sample_rate, "duration_s": duration_s})
    n_samples = round(duration_s * sample_rate)
    blocks = [
        (split, first, min(n, first + BLOCK))
        for split, n in sizes.items()
        for first in range(0, n, BLOCK)
    ]
    render = partial(_render, root, seed, n_samples, sample_rate)
    frames = map_all(render, blocks, Local(nj), "rendering")
    relative = Path(os.path.relpath(root.resolve(), Path(out).resolve())).as_posix()
    corpus = Corpus(NAME, TITLE, SOURCE, LICENCE, relative, sample_rate, TASKS)
    return write_manifest(out, pd.concat(frames, ignore_index=True), corpus)


PARTS = ("train", "valid", "test")


def _render(
    root: Path, seed: int, n_samples: int, sample_rate: int, block: tuple[str, int, int]
) -> pd.DataFrame:
    """Writes one file, unless it is there, and the labels of its sounds beside it; their rows."""
    from audioinv.audio.anything import draw_sound  # heavy: the list of corpora need not wait

    split, first, last = block
    path = f"{split}/{first // BLOCK:06d}.wav"
    labels = (root / path).with_suffix(".json")
    if not ((root / path).is_file() and labels.is_file()):
        # Sounds of other parts are others: their numbers go on where no part's can come to.
        numbers = [PARTS.index(split) + len(PARTS) * k for k in range(first, last)]
        sounds = [draw_sound(seed, number, n_samples, sample_rate) for number in numbers]
        write_wav(root / path, np.concatenate([sound.samples for sound in sounds]), sample_rate)
        pitches = [69 + 12 * np.log2(sound.hz / 440) for sound in sounds]
        told = {
            "kind": [sound.kind for sound in sounds],
            "pitch": ["" if np.isnan(p) else str(round(float(p), 3)) for p in pitches],
        }
        write_json(labels, told)
    seconds = n_samples / sample_rate
    return pd.DataFrame(
        {
            "id": [f"{split}-{k:06d}" for k in range(first, last)],
            "path": path,
            "start": [round(k * seconds, 6) for k in range(last - first)],
            "duration": seconds,
            "sample_rate": sample_rate,
            "split": split,
            **read_json(labels),
        }
    )
