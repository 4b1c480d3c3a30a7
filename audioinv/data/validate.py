"""Checks a manifest against its audio: really reads every clip, and reports every problem."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from audioinv.core.errors import UserError
from audioinv.data import audio_io
from audioinv.data.audio_io import AudioError
from audioinv.data.manifest import (
    COLUMNS,
    Manifest,
    Problem,
    leaves_root,
    path_inside,
    table_problems,
)
from audioinv.data.parallel import map_all

__all__ = ["Problem", "validate"]

CHUNK = 16


@dataclass(frozen=True)
class _Clip:
    """One row, as a worker gets it."""

    root: Path
    id: str
    path: str
    start_s: float
    duration_s: float
    sample_rate: float


def validate(manifest: Manifest, workers: int = 1) -> list[Problem]:
    """Every problem of the table and of the audio, in the manifest's order; [] when all is well.

    Kinds of the table: column, empty, id, duplicate id, path, number, split, fold, label.
    Of the audio: missing, unreadable, empty, truncated, non-finite, length (the file ends before
    the clip does), sample_rate (not the declared one), leakage (the same samples in two splits or
    folds).

    Args:
        manifest: read with `strict=False`, so that a bad table is reported with the rest.
        workers: processes that read audio.
    """
    problems = table_problems(manifest.frame, manifest.corpus)
    if any(problem.kind == "column" for problem in problems) or len(manifest) == 0:
        return problems
    rows = _readable(manifest.frame)
    clips = [_Clip(manifest.root, *row) for row in rows[list(COLUMNS)].itertuples(index=False)]
    checked = map_all(_check, clips, workers, "validating", chunk=CHUNK)
    digests = [digest for _, digest in checked]
    for found, _ in checked:
        problems += found
    for column in sorted({"split", "fold"} & set(rows)):
        problems += _leaks(clips, digests, column, list(rows[column]))
    return problems


def _readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows whose path and numbers allow an attempt; the others are problems already."""
    numbers = {name: pd.to_numeric(frame[name], errors="coerce") for name in COLUMNS[2:]}
    rows = frame.assign(**numbers)
    inside = (rows["path"] != "") & ~rows["path"].map(leaves_root)
    return rows[inside & (rows["start"] >= 0) & (rows["duration"] > 0) & (rows["sample_rate"] > 0)]


def _check(clip: _Clip) -> tuple[list[Problem], str]:
    """A clip's problems, and the hash of its samples ("" if they cannot be read)."""
    try:
        path = path_inside(clip.root, clip.path)
        samples, rate = audio_io.read(path, clip.start_s, clip.duration_s)
    except UserError as error:
        kind = error.kind if isinstance(error, AudioError) else "path"
        return [Problem(clip.id, clip.path, kind, str(error))], ""
    digest = hashlib.sha256(f"{rate} {samples.shape}".encode() + samples.tobytes()).hexdigest()
    if rate == clip.sample_rate:
        return [], digest
    message = f"{path}: sample rate is {rate} Hz, {clip.sample_rate:g} is declared"
    return [Problem(clip.id, clip.path, "sample_rate", message)], digest


def _leaks(clips: list[_Clip], digests: list[str], column: str, parts: list[str]) -> list[Problem]:
    """Clips whose samples were met before in another part (a split or a fold)."""
    problems = []
    first: dict[str, tuple[str, str]] = {}
    for clip, digest, part in zip(clips, digests, parts, strict=True):
        before, other = first.setdefault(digest, (part, clip.id))
        if digest and before != part:
            message = f"{clip.path}: same audio as {other}, in {column} {before} and {part}"
            problems.append(Problem(clip.id, clip.path, "leakage", message))
    return problems
