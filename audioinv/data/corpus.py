"""What a module of a corpus offers, and how the modules of a package are found."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Protocol, cast

from audioinv.data.download import Download


class CorpusModule(Protocol):
    """What a corpus' module offers.

    `downloads(**options)` names the public files of the corpus: none where a form or a login stands
    before them, which `ACCESS` then tells. `prepare(root, out, seed=0, **options)` writes a
    manifest of the files under `root` into `out` and returns its path. `add_arguments` declares the
    options; their names are those of the two functions' parameters.

    A corpus of audio also has HOURS and SAMPLE_RATE (Hz), one of images IMAGES (how many), each as
    published, 0 where nobody says or where they vary.
    """

    NAME: str
    TITLE: str
    LICENCE: str
    SOURCE: str
    DESCRIPTION: str
    ACCESS: str
    downloads: Callable[..., tuple[Download, ...]]
    prepare: Callable[..., Path]

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...


def find_corpora(package: str, without: Collection[str] = ()) -> dict[str, CorpusModule]:
    """NAME -> module, of every module of `package` that has a NAME; `without` are not imported."""
    path = import_module(package).__path__
    names = [found.name for found in iter_modules(path) if found.name not in without]
    modules = [import_module(f"{package}.{name}") for name in names]
    corpora = [cast(CorpusModule, module) for module in modules if hasattr(module, "NAME")]
    return {corpus.NAME: corpus for corpus in corpora}
