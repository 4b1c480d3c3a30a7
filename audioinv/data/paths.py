"""Paths that others wrote, in manifests, archives and lists of downloads."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from audioinv.base.errors import UserError


def leaves_root(relative: str) -> bool:
    """Whether a path, as written, is absolute, climbs out of its root, or is no path at all."""
    return relative.startswith("/") or ".." in relative.split("/") or "\0" in relative


def path_inside(root: Path, relative: str, also: Sequence[Path] = ()) -> Path:
    """`root / relative`, refused where it, or a symbolic link on it, leaves the root.

    With folders `also`, refused where it ends in none of them either.
    """
    path = root / relative
    if "\0" not in relative and (also or not leaves_root(relative)):
        end = os.path.realpath(path)
        if any(_lies_in(end, os.path.realpath(folder)) for folder in (root, *also)):
            return path
    raise UserError(
        f"path '{relative}' leaves the root {root}; give paths inside it (a manifest's may lead to "
        "a folder that --also_inside allows)"
    )


def _lies_in(path: str, folder: str) -> bool:
    """Of real paths. A manifest has millions of them: `pathlib` takes several times as long."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")
