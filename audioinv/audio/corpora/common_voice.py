"""Common Voice: sentences read by volunteers; the validated clips of one or several languages.

For accents, one language's folder; with several folders beside each other, languages too. Speakers
stay whole: where the release has dev.tsv and test.tsv their speakers are validation and test, else
a keyed draw of speakers decides. `speaker` is the contributor, known by a hash. An accent is what
the speaker wrote or chose, several in one text: only the common ones make classes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from audioinv.audio.corpora.timed import timed
from audioinv.base.errors import UserError
from audioinv.data.download import Download
from audioinv.data.later import pandas as pd
from audioinv.data.lists import choice, draw_split, locate, read_table, write_table
from audioinv.data.manifest import Corpus
from audioinv.data.task import Task

NAME = "common_voice"
TITLE = "Common Voice: accents and languages"
LICENCE = "CC0-1.0"
SOURCE = "https://commonvoice.mozilla.org/datasets"
DESCRIPTION = "validated clips of the languages you have; accent, or language, of unseen speakers"
ACCESS = (
    f"by login: choose languages and a release at {SOURCE} and unpack them side by side, so that "
    "the root holds <language>/validated.tsv and <language>/clips/"
)
HOURS = 0.0  # that of the languages and the release you have
SAMPLE_RATE = 0  # 32 or 48 kHz, by release

TASKS = (Task("accent", "accent"), Task("language", "language"))

LIST = "validated.tsv"
MIN_SPEAKERS = 10


def downloads() -> tuple[Download, ...]:
    """None: there is a login before them."""
    return ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of Common Voice."""
    parser.add_argument(
        "--label",
        default="language",
        choices=[task.name for task in TASKS],
        help="accent keeps only the clips whose speaker gave one (default language)",
    )
    parser.add_argument(
        "--languages", nargs="+", help="folders to take, such as en de (default: all there)"
    )
    parser.add_argument(
        "--min_speakers",
        type=int,
        default=MIN_SPEAKERS,
        help=f"leave out accents of fewer speakers (default {MIN_SPEAKERS})",
    )


def prepare(
    root: str | Path,
    out: str | Path,
    seed: int = 0,
    label: str = "language",
    languages: Sequence[str] | None = None,
    min_speakers: int = MIN_SPEAKERS,
) -> Path:
    """Writes manifest.csv and corpus.json of validated clips under `root` into `out`.

    Args:
        seed: of the draw of speakers, where the release has no split.
        label: accent or language: what to learn. A single value of it makes no task.
        languages: folders to take; None takes all.
        min_speakers: an accent given by fewer is left out, with its clips; 1 or more.

    Returns:
        the manifest's path.

    Raises:
        UserError: an option out of range, no validated.tsv, a language that is not there, no clip
            left, or files are missing or cannot be read.
    """
    choice("--label", label, [task.name for task in TASKS])
    if min_speakers < 1:
        raise UserError(f"--min_speakers is {min_speakers}; give 1 or more")
    root, folders = _folders(root, languages)
    rows = pd.concat([_rows(folder, seed) for folder in folders], ignore_index=True)
    if label == "accent":
        rows = rows[rows["accent"] != ""]
        speakers = rows.groupby("accent")["speaker"].transform("nunique")
        rows = rows[speakers >= min_speakers].reset_index(drop=True)
    if rows.empty:
        raise UserError(
            f"no clips left of {', '.join(folder.name for folder in folders)} under {root}: no "
            f"accent has {min_speakers} speakers; lower --min_speakers or take --label language"
        )
    tasks = tuple(task for task in TASKS if task.name == label and rows[label].nunique() > 1)
    frame = timed(root, rows)
    rate = int(frame["sample_rate"].mode()[0])
    return write_table(root, out, frame, Corpus(NAME, TITLE, SOURCE, LICENCE, "", rate, tasks))


def _folders(root: str | Path, languages: Sequence[str] | None) -> tuple[Path, list[Path]]:
    """The folder that holds the languages' folders, and those to take."""
    if languages is None and (Path(root) / LIST).is_file():  # one language's own folder
        folder = Path(root).resolve()
        return folder.parent, [folder]
    root = locate(root, f"*/{LIST}", f"{SOURCE} ({ACCESS})")
    there = {file.parent.name: file.parent for file in sorted(root.glob(f"*/{LIST}"))}
    names = there if languages is None else dict.fromkeys(languages)
    return root, [there[choice("--languages", name, list(there))] for name in names]


def _rows(folder: Path, seed: int) -> pd.DataFrame:
    """The validated clips of one language."""
    table = read_table(folder / LIST, ["client_id", "path"], "\t")
    files = table["path"].where(table["path"].str.endswith(".mp3"), table["path"] + ".mp3")
    accents = [name for name in ("accents", "accent") if name in table]  # since release 8, before
    rows = pd.DataFrame(
        {
            "id": files.str.removesuffix(".mp3"),
            "path": f"{folder.name}/clips/" + files,
            "language": folder.name,
            "accent": table[accents[0]] if accents else "",
            "speaker": table["client_id"],
        }
    )
    parts = {"valid": folder / "dev.tsv", "test": folder / "test.tsv"}
    if not all(file.is_file() for file in parts.values()):
        return draw_split(rows, seed, whole="speaker")
    rows["split"] = "train"
    for part, file in parts.items():
        speakers = read_table(file, ["client_id"], "\t")["client_id"]
        rows.loc[rows["speaker"].isin(speakers), "split"] = part
    return rows
