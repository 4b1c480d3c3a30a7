"""Any folder tree as a corpus: what its folders' names say of labels and split.

root/dog/a.wav, root/cat/2024/b.wav      labels dog and cat; split 80/10/10 by a keyed hash
root/train/dog/a.wav, root/test/...      train, valid, test at the top are the split
root/a.wav, root/b.wav                   no labels
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath

from audioinv.base.errors import UserError
from audioinv.data.later import pandas as pd
from audioinv.data.manifest import SPLITS, stratified_validation
from audioinv.data.task import Task

TEST_FRACTION = 0.1
VALID_FRACTION = 0.1
LIKE_SPLITS = {"valid", "test", "val", "validation", "dev", "eval"}


def read_tree(root: Path, endings: Collection[str], kind: str, seed: int) -> pd.DataFrame:
    """id, path, split and (where the tree tells any) label of the files under `root`, in order.

    Hidden files and folders are left out. With train and test folders but no valid one, a tenth of
    train becomes it.

    Args:
        endings: of the files to look for, in lower case. kind: what they hold, for errors.

    Raises:
        UserError: no files, files beside label folders, or unclear split folders.
    """
    paths = find_files(root, endings, kind)
    splits, labels = _read_shape(root, paths)
    names = [str(path) for path in paths]
    rows = pd.DataFrame({"id": names, "path": names}).assign(split=splits or "train")
    return _split(rows.assign(label=labels) if labels else rows, seed)


def label_tasks(rows: pd.DataFrame) -> tuple[Task, ...]:
    """The task of telling the labels, if there are several."""
    several = "label" in rows and rows["label"].nunique() > 1
    return (Task("label", "label"),) if several else ()


def find_files(root: Path, endings: Collection[str], kind: str) -> list[PurePosixPath]:
    """The files under `root`, relative to it, in order."""
    if not root.is_dir():
        raise UserError(f"{root} is not a folder; give the one that holds the {kind}")
    found = [PurePosixPath(file.relative_to(root).as_posix()) for file in root.rglob("*")]
    paths = sorted(
        path
        for path in found
        if path.suffix.lower() in endings
        and not any(part.startswith(".") for part in path.parts)
        and not (root / path).is_dir()
    )
    if not paths:
        raise UserError(f"no {kind} under {root}; looked for {', '.join(sorted(endings))}")
    if odd := [path for path in paths if not _is_utf8(str(path))]:
        raise UserError(f"{len(odd)} file name(s) are not UTF-8, such as {odd[0]!r}; rename them")
    return paths


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_shape(root: Path, paths: Sequence[PurePosixPath]) -> tuple[list[str], list[str]]:
    """Each file's split and its label; [] where the tree tells none."""
    tops = {path.parts[0] for path in paths if len(path.parts) > 1}
    splits: list[str] = []
    below = [path.parts for path in paths]
    if "train" in tops and tops & LIKE_SPLITS:
        if not tops <= set(SPLITS) or any(len(parts) == 1 for parts in below):
            raise UserError(
                f"{root} holds split folders and more ({', '.join(sorted(tops))}); "
                "name them train, valid and test, and leave nothing else beside them"
            )
        splits = [parts[0] for parts in below]
        below = [parts[1:] for parts in below]
    labels = [parts[0] if len(parts) > 1 else "" for parts in below]
    bare = [path for path, label in zip(paths, labels, strict=True) if not label]
    if bare and len(bare) < len(paths):
        raise UserError(
            f"{len(bare)} of {len(paths)} files under {root} lie in no label folder, "
            f"such as {bare[0]}; move them into one, or away"
        )
    return splits, [] if bare else labels


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
