"""Paths that others wrote, in manifests, archives and lists of downloads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from audioinv.base.errors import UserError


def leaves_root(relative: str) -> bool:
    """Whether a path, as written, is absolute, climbs out of its root, or is no path at all."""
    pure = PurePosixPath(relative)
    return pure.is_absolute() or ".." in pure.parts or "\0" in relative


def path_inside(root: Path, relative: str, also: Sequence[Path] = ()) -> Path:
    """`root / relative`, refused where it, or a symbolic link on it, leaves the root.

    With folders `also`, refused where it ends in none of them either.
    """
    path = root / relative
    if "\0" not in relative and (also or not leaves_root(relative)):
        end = path.resolve()
        if any(end.is_relative_to(folder.resolve()) for folder in (root, *also)):
            return path
    raise UserError(
        f"path '{relative}' leaves the root {root}; give paths inside it (a manifest's may lead to "
        "a folder that --also_inside allows)"
    )
