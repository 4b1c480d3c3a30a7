"""The corpora `audioinv prepare` knows: one module each, found here by name."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from audioinv.corpora import folder, fsdd, sonograph


class CorpusModule(Protocol):
    """What a corpus' module offers.

    `prepare(root, out, seed=0, **options)` writes a manifest of the audio under `root` into `out`
    and returns its path; `add_arguments` declares the options, whose names are `prepare`'s.
    """

    NAME: str
    TITLE: str
    LICENCE: str
    SOURCE: str
    DESCRIPTION: str
    prepare: Callable[..., Path]

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...


_MODULES: tuple[CorpusModule, ...] = (fsdd, folder, sonograph)
CORPORA: dict[str, CorpusModule] = {module.NAME: module for module in _MODULES}
