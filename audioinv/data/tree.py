"""Any folder tree as a corpus: what its folders' names say of labels and split.

root/dog/a.wav, root/cat/2024/b.wav      labels dog and cat; split 80/10/10 by a keyed hash
root/train/dog/a.wav, root/test/...      the split, by whatever name and in whatever capitals
root/dog/train/a.wav, root/dog/test/...  the same below the labels
root/a.wav, root/b.wav                   no labels
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from audioinv.base.errors import UserError
from audioinv.data.labels import SEPARATOR, clean
from audioinv.data.later import pandas as pd
from audioinv.data.manifest import stratified_validation
from audioinv.data.preparing import Preparation
from audioinv.data.task import Task
from audioinv.data.walk import Kind, find_clips

TEST_FRACTION = 0.1
VALID_FRACTION = 0.1
PARTS = {
    "train": r"trn|train(ing)?",
    "valid": r"val|valid(ation|ate)?|dev(el|elopment)?",
    "test": r"tst|test(ing)?",
}
UNCLEAR = r"eval(uation)?|hold[ _-]?out|held[ _-]?out|(fold|split|part|cv)[ _-]?\d+"
FURTHER = r"([ _-]?(set|data|split|part|files|audio|images))?([ _-]?\d+)?"

Parts = list[tuple[str, ...]]


def read_tree(root: Path, kind: Kind, seed: int, preparation: Preparation) -> pd.DataFrame:
    """id, path, split and (where the tree tells any) label of the files under `root`, in order.

    Hidden files and folders are passed over. With train and test folders but no valid one, a tenth
    of train becomes it.

    Args:
        kind: of the files to look for. preparation: is told what is left out, and what is odd.

    Raises:
        UserError: no files, files beside label folders, or unclear split folders.
    """
    paths = find_clips(root, kind, preparation)
    splits, labels = _read_shape(root, paths)
    names = [str(path) for path in paths]
    rows = pd.DataFrame({"id": names, "path": names}).assign(split=splits or "train")
    rows = _split(rows.assign(label=labels) if labels else rows, seed)
    preparation.notes += _odd(root, paths, labels, preparation)
    if not splits:
        preparation.notes += _unused(paths)
    return rows


def label_tasks(rows: pd.DataFrame) -> tuple[Task, ...]:
    """The task of telling the labels, if there are several: multilabel where one says "a;b"."""
    if "label" not in rows or rows["label"].nunique() < 2:
        return ()
    many = rows["label"].str.contains(SEPARATOR).any()
    return (Task("label", "label", "multilabel" if many else "classification"),)


def part_of(name: str) -> str:
    """The part that a folder's name stands for: train, valid or test; "" for none."""
    said = (part for part, names in PARTS.items() if _says(names, name))
    return next(said, "")


def _like_a_part(name: str) -> bool:
    return bool(part_of(name)) or _says(UNCLEAR, name)


def _says(names: str, name: str) -> bool:
    return re.fullmatch(f"({names}){FURTHER}", name.strip().lower()) is not None


def _read_shape(root: Path, paths: Sequence[PurePosixPath]) -> tuple[list[str], list[str]]:
    """Each file's split and its label; [] where the tree tells none."""
    splits, below = _read_split(root, [path.parts for path in paths])
    labels = [clean(parts[0]) if len(parts) > 1 else "" for parts in below]
    bare = [path for path, label in zip(paths, labels, strict=True) if not label]
    if bare and len(bare) < len(paths):
        raise UserError(
            f"{len(bare)} of {len(paths)} files under {root} lie in no label folder, "
            f"such as {bare[0]}; move them into one, or away"
        )
    return splits, [] if bare else labels


def _read_split(root: Path, paths: Parts) -> tuple[list[str], Parts]:
    """Each file's split, and its path without the folder that says so; [] where none does."""
    for level in (0, 1):
        folders = {parts[level] if len(parts) > level + 1 else "" for parts in paths}
        if all(map(part_of, folders)):
            without = [(*parts[:level], *parts[level + 1 :]) for parts in paths]
            return [part_of(parts[level]) for parts in paths], without
    tops = {parts[0] for parts in paths if len(parts) > 1}
    like = {name for name in tops if _like_a_part(name)}
    words = [{part_of(word) for word in re.split(r"[\W_]+", name)} - {""} for name in tops]
    worded = all(words) and len(set().union(*words)) > 1  # train-clean and test-clean
    if worded or (len(like) > 1 and (like == tops or "train" in map(part_of, like))):
        raise UserError(
            f"{root} holds split folders and more ({', '.join(sorted(tops))}); "
            "name them train, valid and test, and leave nothing else beside them; folds are told "
            "by a table with a column fold (audioinv prepare table)"
        )
    return [], paths


def _odd(
    root: Path, paths: Sequence[PurePosixPath], labels: Sequence[str], preparation: Preparation
) -> list[str]:
    """What of a tree's shape may not be meant."""
    notes = []
    tops = {path.parts[0] for path in paths if len(path.parts) > 1}
    if len(set(labels)) == 1 and len(tops) == 1 and any(len(path.parts) > 2 for path in paths):
        (top,) = tops
        notes.append(
            f"all files lie in {top}, so there is one label; if the folders in it are the labels "
            f"(or the split), give --root {root / top}"
        )
    if labels and (padded := sorted(top for top in tops if top != clean(top))):
        notes.append(f"labels are without the blanks around the folders' names: {padded}")
    if like := sorted(filter(_like_a_part, set(labels))):
        notes.append(f"{', '.join(like)} are taken for labels, and look like parts of a split")
    left = [PurePosixPath(each.path).parts for each in preparation.left_out if each.like_a_clip]
    if labels and (empty := sorted({parts[0] for parts in left if len(parts) > 1} - tops)):
        notes.append(f"no clip is left of {', '.join(empty)}: all files there are left out")
    return notes


def _unused(paths: Sequence[PurePosixPath]) -> list[str]:
    """What is said of folders that are named for parts and lie too deep, or not above all files."""
    found = {str(up) for path in paths for up in path.parents if part_of(up.name)}
    deep = sorted(path for path in found if "/" in path)
    if not deep:
        return []
    return [
        f"{len(deep)} folders such as {deep[0]} are not taken for the split: name the first "
        "folders, or the second of every label, train, valid and test"
    ]


def _split(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Takes the parts that the tree does not give from train."""
    strata = ["label"] if "label" in frame else []
    given = set(frame["split"])
    if given == {"train"}:
        frame = stratified_validation(frame, strata, TEST_FRACTION, seed, part="test")
        return stratified_validation(frame, strata, VALID_FRACTION / (1 - TEST_FRACTION), seed)
    if "valid" not in given:
        return stratified_validation(frame, strata, VALID_FRACTION, seed)
    return frame
