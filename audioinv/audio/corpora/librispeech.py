"""LibriSpeech, who reads: audio books read by 2,484 people, in subsets of clean and other speech.

Its own parts share no speaker, as recognising words wants it. To recognise speakers, a keyed draw
takes a tenth of each speaker's utterances for test and for validation. `speaker` is the reader,
`chapter` the recording: utterances of one chapter are in several parts.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from audioinv.audio.corpora.timed import timed
from audioinv.base.errors import UserError
from audioinv.data.download import Download
from audioinv.data.later import pandas as pd
from audioinv.data.lists import choice, draw_split, locate, read_lines, write_table
from audioinv.data.manifest import Corpus
from audioinv.data.task import Task
from audioinv.data.walk import seen

NAME = "librispeech"
TITLE = "LibriSpeech: who reads"
LICENCE = "CC-BY-4.0"
SOURCE = "https://www.openslr.org/12"
DESCRIPTION = "read English, by default the 100 hours of train-clean-100; speaker, and sex"
ACCESS = "public, on OpenSLR"
HOURS = 982.1  # all subsets together
SAMPLE_RATE = 16000

TASKS = (
    Task("speaker", "speaker"),
    Task("sex_unseen_speaker", "sex", groups="speaker"),
)

ARCHIVES = "https://www.openslr.org/resources/12"
SUBSETS = {  # name: MD5 of the archive, from md5sum.txt beside it
    "dev-clean": "42e2234ba48799c1f50f24a7926300a1",
    "dev-other": "c8d0bcc9cca99d4f8b62fcc847357931",
    "test-clean": "32fa31d27d2e1cad72775fee3f4849a9",
    "test-other": "fb5a50374b501bb3bac4815ee91d3135",
    "train-clean-100": "2a93770f6d5c6c964bc36631d331a522",
    "train-clean-360": "c0e676e450a7ff2f54aeade5171606fa",
    "train-other-500": "d1a0fd59409feb2c614ce4d30c387708",
}
DEFAULT = ("train-clean-100",)
READERS = "SPEAKERS.TXT"
SEXES = {"F": "female", "M": "male"}


def downloads(subsets: Sequence[str] = DEFAULT) -> tuple[Download, ...]:
    """The archives of `subsets`.

    Raises:
        UserError: an unknown subset.
    """
    names = [choice("--subsets", name, list(SUBSETS)) for name in subsets]
    return tuple(
        Download(f"{ARCHIVES}/{name}.tar.gz", f"{name}.tar.gz", f"md5:{SUBSETS[name]}")
        for name in names
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of LibriSpeech."""
    parser.add_argument(
        "--subsets",
        nargs="+",
        default=DEFAULT,
        choices=list(SUBSETS),
        help=f"parts of the corpus to take (default {DEFAULT[0]})",
    )


def prepare(
    root: str | Path, out: str | Path, seed: int = 0, subsets: Sequence[str] = DEFAULT
) -> Path:
    """Writes manifest.csv and corpus.json of the utterances of `subsets` under `root` into `out`.

    Args:
        subsets: names of its parts, such as train-clean-100.
        seed: of the draw of utterances.

    Returns:
        the manifest's path.

    Raises:
        UserError: an unknown subset, or one without files; no SPEAKERS.TXT, or a speaker is not in
            it; or files cannot be read.
    """
    names = [choice("--subsets", name, list(SUBSETS)) for name in dict.fromkeys(subsets)]
    root = locate(root, [READERS, *names], SOURCE)
    sexes = _sexes(root / READERS)
    rows = pd.DataFrame([_row(root, file, sexes) for name in names for file in _files(root / name)])
    rows = draw_split(rows, seed, strata=["speaker"])
    corpus = Corpus(NAME, TITLE, SOURCE, LICENCE, "", SAMPLE_RATE, TASKS)
    return write_table(root, out, timed(root, rows), corpus)


def _files(folder: Path) -> list[Path]:
    files = seen(folder, "*/*/*.flac")
    if not files:
        raise UserError(f"no <speaker>/<chapter>/*.flac in {folder}; unpack the archive again")
    return files


def _sexes(file: Path) -> dict[str, str]:
    """Sex by speaker, of lines "14 | F | train-clean-360 | 25.03 | name"; ";" starts a comment."""
    cells = [line.split("|") for line in read_lines(file) if not line.startswith(";")]
    return {row[0].strip(): SEXES.get(row[1].strip(), "") for row in cells if len(row) > 1}


def _row(root: Path, file: Path, sexes: dict[str, str]) -> dict[str, str]:
    speaker, chapter = file.parts[-3:-1]
    if not sexes.get(speaker):
        raise UserError(
            f"{root / READERS} tells no sex of speaker {speaker}; take the file of the archive"
        )
    return {
        "id": file.stem,
        "path": file.relative_to(root).as_posix(),
        "speaker": speaker,
        "chapter": chapter,
        "sex": sexes[speaker],
    }
