"""Several corpora as one, to pre-train on: their clips, not their tasks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from audioinv.base.errors import UserError
from audioinv.base.randomness import derive_seed
from audioinv.data.later import pandas as pd
from audioinv.data.manifest import Corpus, Manifest, read_manifest, write_manifest
from audioinv.data.modality import registered

NAME = "joined"


def join(
    manifests: Sequence[str | Path],
    out: str | Path,
    test_fold: str = "",
    most: int = 0,
    seed: int = 0,
) -> Path:
    """Writes manifest.csv and corpus.json of the clips of several corpora into `out`.

    Clips for testing are left out: an encoder that has seen them, even without their labels, is not
    to be judged by them. Their root is the folder that holds the files of all of them.

    Args:
        manifests: tables, or the folders that prepare wrote. test_fold: of corpora that have folds
            and no split, the one that is left out; the others are for training.
        most: clips for training of each corpus, drawn by `seed`; 0 takes all.

    Returns:
        the manifest's path.

    Raises:
        UserError: none or one corpus, the same one twice, corpora of several modalities, a fold
            that is needed and not given or not there, or a bad table.
    """
    if len(manifests) < 2:
        raise UserError("there is nothing to join; give two corpora or more")
    all_of = [read_manifest(path) for path in manifests]
    names = [each.corpus.name for each in all_of]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UserError(f"{', '.join(sorted(twice))} is given twice; give every corpus once")
    if len({each.corpus.modality for each in all_of}) > 1:
        told = ", ".join(f"{each.corpus.name} {each.corpus.modality}" for each in all_of)
        raise UserError(f"clips of different kinds cannot be joined: {told}")
    if most < 0:
        raise UserError(f"--most is {most}; give 0, for all, or more")
    root = Path(os.path.commonpath([each.root.resolve() for each in all_of]))
    frames = [_rows(each, root, test_fold, most, seed) for each in all_of]
    first = all_of[0].corpus
    corpus = Corpus(
        NAME,
        ", ".join(each.corpus.title for each in all_of),
        "; ".join(f"{each.corpus.title}: {each.corpus.source}" for each in all_of),
        "; ".join(f"{each.corpus.title}: {each.corpus.licence}" for each in all_of),
        Path(os.path.relpath(root, Path(out).resolve())).as_posix(),
        max(each.corpus.sample_rate for each in all_of),
        modality=first.modality,
    )
    return write_manifest(out, pd.concat(frames, ignore_index=True), corpus)


def _rows(manifest: Manifest, root: Path, test_fold: str, most: int, seed: int) -> pd.DataFrame:
    """The rows of a corpus that may be trained on, their paths relative to `root`."""
    name, frame = manifest.corpus.name, manifest.frame
    if "split" in frame:
        frame = frame[frame["split"] != "test"]
    else:
        folds = sorted(set(frame["fold"]))
        if test_fold not in folds:
            raise UserError(
                f"{name} has folds and no split: say which is kept for testing, by --test_fold, "
                f"one of {', '.join(folds)}"
            )
        frame = frame[frame["fold"] != test_fold].assign(split="train")
    train = frame[frame["split"] == "train"]
    if 0 < most < len(train):
        order = sorted(train.index, key=lambda k: derive_seed(seed, "join", train["id"][k]))
        frame = frame.loc[sorted([*order[:most], *frame.index[frame["split"] != "train"]])]
    below = Path(os.path.relpath(manifest.root.resolve(), root))
    columns = [name for name in registered(manifest.corpus.modality).columns if name in frame]
    return frame[["id", "path", *columns, "split"]].assign(
        id=name + "-" + frame["id"],
        path=[(below / path).as_posix() for path in frame["path"]],
        corpus=name,
    )
