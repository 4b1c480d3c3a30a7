"""Sonograph: the corpus this project makes for itself, with every factor of variation known.

One-second tones with tasks that want opposite invariances. `pitch_class` needs what a pitch shift
destroys. `timbre` is a pattern over harmonic numbers: pitch moves it along frequency, so it
is hard to read where pitch is kept and easy where it is not. `pulse` conflicts with time stretch,
`onset` with time shift, `level` with normalisation. Nothing is downloaded: `prepare` renders it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audioinv.audio.corpora.rendered import check_sizes, claim
from audioinv.audio.io import write_wav
from audioinv.base.errors import UserError
from audioinv.data.download import Download
from audioinv.data.later import pandas
from audioinv.data.manifest import Corpus, write_manifest
from audioinv.data.task import Task

if TYPE_CHECKING:  # torch is imported where clips are drawn: --help lists the corpora without it
    import torch
    from torch import Tensor

NAME = "sonograph"
TITLE = "Sonograph: synthetic tones with known factors"
LICENCE = "CC0-1.0"
SOURCE = "rendered by audioinv; nothing to download"
DESCRIPTION = "2,000 / 400 / 600 one-second tones; pitch class, timbre, pulse rate, onset and level"
ACCESS = "made, not fetched: 'audioinv prepare sonograph' renders it"
HOURS = 0.8
SAMPLE_RATE = 16000

TASKS = (
    Task("pitch_class", "pitch_class"),
    Task("timbre", "timbre"),
    Task("pulse", "pulse", "regression", unit="log2 Hz"),
    Task("onset", "onset", "regression", unit="s"),
    Task("level", "level", "regression", unit="dB relative to full scale"),
)

PITCH_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
LOWEST_NOTE = 45  # MIDI; A2, 110 Hz. Two octaves up to G#4: the eighth harmonic stays below 4 kHz.
N_OCTAVES = 2
DETUNING_SEMITONES = 0.1

# A timbre is one choice of each row, "bright-full-round" to "dark-hollow-nasal": a range of that
# factor. Set so that a linear readout of log-mel means and deviations gets less than half of the
# test clips right, and one of the harmonics' levels nearly all: the classes are easy to tell apart,
# were it not that pitch moves them.
TIMBRE: dict[str, dict[str, tuple[float, float]]] = {
    "tilt": {"bright": (-5.0, 0.0), "dark": (-14.0, -9.0)},
    "even_level": {"full": (-5.0, 0.0), "hollow": (-24.0, -16.0)},
    "emphasised_harmonic": {"round": (2.0, 2.5), "nasal": (6.0, 8.0)},
}
EMPHASIS_DB = (12.0, 20.0)

RENDERING = 3  # raise it when the same settings give other audio
BLOCK = 256  # clips that share a generator
WRITERS = 16  # threads: every file waits for the disk


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `audioinv prepare sonograph`."""
    parser.add_argument("--n_train", type=int, default=2000, help="training clips")
    parser.add_argument("--n_valid", type=int, default=400, help="validation clips")
    parser.add_argument("--n_test", type=int, default=600, help="test clips")
    parser.add_argument("--sample_rate", type=int, default=SAMPLE_RATE, help="in Hz")
    parser.add_argument("--duration_s", type=float, default=1.0, help="length of a clip in seconds")


def downloads() -> tuple[Download, ...]:
    """Nothing: `prepare` renders the clips."""
    return ()


def prepare(
    root: str | Path,
    out: str | Path,
    seed: int = 0,
    n_train: int = 2000,
    n_valid: int = 400,
    n_test: int = 600,
    sample_rate: int = SAMPLE_RATE,
    duration_s: float = 1.0,
) -> Path:
    """Renders the wav files under `root`, writes manifest.csv and corpus.json under `out`.

    Files already rendered with the same settings stay; the same settings give the same files.

    Returns:
        the manifest's path.

    Raises:
        UserError: a number out of range, a file that cannot be written, or `root` holds a Sonograph
            with other settings or something else.
    """
    from audioinv.base.randomness import generator

    sizes = {"train": n_train, "valid": n_valid, "test": n_test}
    _check(sizes, sample_rate, duration_s)
    root = Path(root)
    settings = {"rendering": RENDERING, "seed": seed, "sizes": sizes}
    claim(root, "Sonograph", settings | {"sample_rate": sample_rate, "duration_s": duration_s})
    n_samples = round(duration_s * sample_rate)
    frames = []
    for split, n in sizes.items():
        factors, labels = draw_labelled(n, generator(seed, NAME, split))
        paths = [f"{split}/{index:06d}.wav" for index in range(n)]
        files = [root / path for path in paths]
        _render_missing(files, factors, n_samples, sample_rate, (seed, NAME, split))
        frames.append(_rows(paths, split, factors, labels, sample_rate, n_samples / sample_rate))
    relative = Path(os.path.relpath(root.resolve(), Path(out).resolve())).as_posix()
    corpus = Corpus(NAME, TITLE, SOURCE, LICENCE, relative, sample_rate, TASKS)
    return write_manifest(out, pandas.concat(frames, ignore_index=True), corpus)


def draw_labelled(
    n: int, generator: torch.Generator
) -> tuple[dict[str, Tensor], dict[str, list[Any]]]:
    """Factors of `n` clips, and their labels by task; classes are balanced to within one clip."""
    import torch

    from audioinv.audio.synthesis import draw

    note = _balanced(n, len(PITCH_CLASSES), generator)
    octave = torch.randint(N_OCTAVES, (n,), generator=generator)
    detuning = DETUNING_SEMITONES * (2 * torch.rand(n, generator=generator) - 1)
    timbre = _balanced(n, 2 ** len(TIMBRE), generator)
    shape, names = _draw_timbre(timbre, generator)
    pitch = LOWEST_NOTE + (note - LOWEST_NOTE) % 12 + 12 * octave + detuning
    factors = draw(n, generator, fixed={"pitch": pitch, **shape})
    return factors, {
        "pitch_class": [PITCH_CLASSES[index] for index in note.tolist()],
        "timbre": names,
        "pulse": factors["pulse_rate"].log2().tolist(),
        "onset": factors["onset"].tolist(),
        "level": factors["level"].tolist(),
    }


def _balanced(n: int, n_classes: int, generator: torch.Generator) -> Tensor:
    """Class indices (n,) in random order, each class as often as any other, give or take one."""
    import torch

    return torch.arange(n)[torch.randperm(n, generator=generator)] % n_classes


def _draw_timbre(
    classes: Tensor, generator: torch.Generator
) -> tuple[dict[str, Tensor], list[str]]:
    """The timbre factors of class indices (n,), whose binary digits choose ranges; the names."""
    import torch

    from audioinv.audio.synthesis import FACTORS

    n = len(classes)
    emphasis = replace(FACTORS["emphasis"], low=EMPHASIS_DB[0], high=EMPHASIS_DB[1])
    factors = {"emphasis": emphasis.from_uniform(torch.rand(n, generator=generator))}
    words = []
    for place, (name, choices) in enumerate(TIMBRE.items()):
        choice = (classes >> place) & 1
        uniform = torch.rand(n, generator=generator)
        low, high = (
            replace(FACTORS[name], low=low, high=high).from_uniform(uniform)
            for low, high in choices.values()
        )
        factors[name] = torch.where(choice == 0, low, high)
        words.append([list(choices)[index] for index in choice.tolist()])
    return factors, ["-".join(parts) for parts in zip(*words, strict=True)]


def _render_missing(
    files: Sequence[Path],
    factors: Mapping[str, Tensor],
    n_samples: int,
    sample_rate: int,
    key: tuple[int, str, str],
) -> None:
    """Renders the blocks of clips of which a file is missing, and writes those files."""
    from audioinv.audio.synthesis import synthesise
    from audioinv.base.randomness import generator

    for start in range(0, len(files), BLOCK):
        missing = [i for i, file in enumerate(files[start : start + BLOCK]) if not file.is_file()]
        if not missing:
            continue
        block = {name: values[start : start + BLOCK] for name, values in factors.items()}
        audio = synthesise(block, n_samples, sample_rate, generator(*key, start)).numpy()
        with ThreadPoolExecutor(WRITERS) as pool:
            writes = [
                pool.submit(write_wav, files[start + i], audio[i], sample_rate) for i in missing
            ]
        for write in writes:
            write.result()


def _rows(
    paths: Sequence[str],
    split: str,
    factors: Mapping[str, Tensor],
    labels: Mapping[str, Sequence[Any]],
    sample_rate: int,
    duration_s: float,
) -> pandas.DataFrame:
    """A split's rows of the manifest: the labels, and every factor that is not one of them."""
    others = {name: values.tolist() for name, values in factors.items() if name not in labels}
    columns: dict[str, Any] = {
        "id": [path.removesuffix(".wav").replace("/", "-") for path in paths],
        "path": list(paths),
        "start": 0.0,
        "duration": duration_s,
        "sample_rate": sample_rate,
        "split": split,
    }
    return pandas.DataFrame({**columns, **labels, **others}).round(6)


def _check(sizes: Mapping[str, int], sample_rate: int, duration_s: float) -> None:
    check_sizes(sizes)
    if sample_rate < 4000:
        raise UserError(f"sample_rate is {sample_rate} Hz; give 4000 or more")
    if not 0.8 <= duration_s <= 60:
        raise UserError(
            f"duration_s is {duration_s}; give 0.8 to 60, so that pulses fit in after every onset"
        )
