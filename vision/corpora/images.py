"""What the image corpora share: their manifest, records of containers, MATLAB files, landmarks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audioinv.base.errors import UserError
from audioinv.data.later import pandas as pd
from audioinv.data.lists import files_of, write_table
from audioinv.data.manifest import Corpus
from audioinv.data.task import Task
from vision import io as image_io
from vision.corpora.derived import DERIVED_TASKS

VALID_FRACTION = 0.1  # of the training images, where no validation part is published


def write_images(
    root: Path,
    out: str | Path,
    rows: pd.DataFrame,
    about: tuple[str, str, str, str],
    tasks: Sequence[Task],
    ending: str = ".csv",
) -> Path:
    """Writes the manifest of `rows` (id, path, split, labels) into `out`; returns its path.

    Args:
        rows: without an index, each is an ordinary file.
        about: name, title, source and licence. tasks: the derived ones come after them.

    Raises:
        UserError: the table has problems, or cannot be written.
    """
    if "index" not in rows:
        rows = rows.assign(index=0)
    first = ["id", "path", "index"]
    corpus = Corpus(*about, "", 0, (*tasks, *DERIVED_TASKS), "image")
    return write_table(root, out, rows[[*first, *rows.columns.drop(first)]], corpus, ending)


def records(file: Path, split: str, **labels: Sequence[str]) -> pd.DataFrame:
    """A row for each image of a container, and its labels."""
    n = image_io.probe(file).records
    ids = [f"{file.stem}_{k:05d}" for k in range(n)]
    table = {"id": ids, "path": file.name, "index": range(n), "split": split, **labels}
    return pd.DataFrame(table)


def named(codes: Iterable[int], names: Sequence[str], file: Path) -> list[str]:
    """The name of each code, which counts from 0.

    Raises:
        UserError: `file` has a code without a name.
    """
    found = [int(code) for code in codes]
    if found and not 0 <= min(found) <= max(found) < len(names):
        raise UserError(
            f"{file} has labels {min(found)} to {max(found)} but there are {len(names)} names; "
            "unpack the corpus again"
        )
    return [names[code] for code in found]


def read_mat(path: Path, name: str) -> npt.NDArray[Any]:
    """One array of a MATLAB file.

    Raises:
        UserError: the file is missing, damaged, or lacks it.
    """
    from scipy.io import loadmat  # here: a list of corpora need not wait for it
    from scipy.io.matlab import MatReadError

    try:
        return np.asarray(loadmat(path, variable_names=[name])[name])
    except (OSError, ValueError, TypeError, KeyError, NotImplementedError, MatReadError) as error:
        raise UserError(f"cannot read {name} of {path}: {error}") from error


def landmarks(root: Path, paths: Sequence[str], points: npt.NDArray[Any]) -> list[str]:
    """Points in pixels as fractions of each image's width and height, "x1;y1;x2;y2;...".

    Fractions stay true at any size that both sides are scaled to.

    Args:
        points: (n, P, 2).

    Raises:
        UserError: files are missing or cannot be read.
    """
    infos = image_io.probe_all(files_of(root, paths))
    sizes = np.array([(info.width, info.height) for info in infos])
    return joined(points / sizes[:, None])


def joined(points: npt.NDArray[Any]) -> list[str]:
    """(n, P, 2) -> "x1;y1;x2;y2;..." to a hundred-thousandth."""
    return [";".join(f"{value:.5f}" for value in row) for row in points.reshape(len(points), -1)]
