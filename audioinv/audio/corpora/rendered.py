"""Folders of sounds that this project renders: what is in them is noted, and never mistaken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from audioinv.base.errors import UserError
from audioinv.base.files import read_json, write_json


def claim(root: Path, name: str, settings: Mapping[str, Any]) -> None:
    """Notes in `root` what is rendered there, so that nothing else is ever taken for it.

    Args:
        name: of the corpus. settings: all that decides its sounds, with `sizes` of its parts.

    Raises:
        UserError: it holds sounds of other settings, or parts of something else.
    """
    path = root / "settings.json"
    if not path.exists():
        _refuse_strangers(root, name, settings["sizes"])
        write_json(path, dict(settings))
    elif read_json(path) != settings:
        raise UserError(
            f"{root} holds a {name} with other settings (see {path}); "
            "give another root, or delete that folder"
        )


def _refuse_strangers(root: Path, name: str, splits: Iterable[str]) -> None:
    there = [split for split in splits if (root / split).exists()]
    if there:
        raise UserError(
            f"{root} has {', '.join(there)} but no settings.json, so {name} did not make it; "
            "give another root"
        )


def check_sizes(sizes: Mapping[str, int], least: int = 1) -> None:
    """Refuses parts of fewer clips than `least`.

    Raises:
        UserError: there is one.
    """
    for split, n in sizes.items():
        if n < least:
            raise UserError(f"n_{split} is {n}; give {least} or more")
