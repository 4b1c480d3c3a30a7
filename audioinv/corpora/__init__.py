"""The corpora `audioinv download` and `audioinv prepare` know: every module of this folder that has
a NAME, so that a new corpus is a new file."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Protocol, cast

from audioinv.corpora.download import Download


class CorpusModule(Protocol):
    """What a corpus' module offers.

    `downloads(**options)` names the public files of the corpus: none where a form or a login stands
    before them, which `ACCESS` then tells. `prepare(root, out, seed=0, **options)` writes a
    manifest of the audio under `root` into `out` and returns its path. `add_arguments` declares the
    options; their names are those of the two functions' parameters.

    HOURS of audio and SAMPLE_RATE (Hz) are as published, 0 where nobody says or where they vary.
    """

    NAME: str
    TITLE: str
    LICENCE: str
    SOURCE: str
    DESCRIPTION: str
    ACCESS: str
    HOURS: float
    SAMPLE_RATE: int
    downloads: Callable[..., tuple[Download, ...]]
    prepare: Callable[..., Path]

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...


_HELPERS = {"sonograph_synthesis"}  # imports torch, for which no list of corpora should wait


def _find() -> dict[str, CorpusModule]:
    names = [found.name for found in iter_modules(__path__) if found.name not in _HELPERS]
    modules = [import_module(f"{__name__}.{name}") for name in names]
    corpora = [cast(CorpusModule, module) for module in modules if hasattr(module, "NAME")]
    return {corpus.NAME: corpus for corpus in corpora}


CORPORA: dict[str, CorpusModule] = _find()
