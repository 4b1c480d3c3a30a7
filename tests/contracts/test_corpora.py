"""What every corpus keeps to, whatever its clips are made of."""

from __future__ import annotations

import argparse
import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from audioinv.base.errors import UserError
from audioinv.data.modality import known_modalities
from audioinv.data.paths import leaves_root
from audioinv.data.unpack import ARCHIVES

CHECKSUM = re.compile(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}")
MADE_OR_OWN = {
    *("folder", "image_folder", "table"),
    *("sonograph", "sonograph_factors", "spirograph", "notes_and_noises"),
}
MODALITY = {name: modality for modality in known_modalities() for name in modality.corpora()}
CORPORA: dict[str, Any] = {name: MODALITY[name].corpora()[name] for name in MODALITY}


def parameters(function: Callable[..., Any]) -> dict[str, Any]:
    """The options a function takes, and their defaults."""
    found = {name: item.default for name, item in inspect.signature(function).parameters.items()}
    return {name: value for name, value in found.items() if name not in ("root", "out", "seed")}


def options(name: str) -> dict[str, Any]:
    """The options a corpus declares, and their defaults."""
    parser = argparse.ArgumentParser()
    CORPORA[name].add_arguments(parser)
    return {
        action.dest: action.default
        for action in parser._actions
        if not isinstance(action, argparse._HelpAction)
    }


@pytest.mark.parametrize("name", CORPORA)
def test_it_says_what_it_is(name: str) -> None:
    corpus = CORPORA[name]
    for text in ("NAME", "TITLE", "LICENCE", "SOURCE", "DESCRIPTION", "ACCESS"):
        assert getattr(corpus, text).strip(), text
    assert re.fullmatch("[a-z][a-z0-9_]*", corpus.NAME)
    if MODALITY[name].name == "image":
        assert corpus.IMAGES >= 0
    else:
        assert corpus.HOURS >= 0 and (corpus.SAMPLE_RATE == 0 or corpus.SAMPLE_RATE >= 4000)
    assert corpus.prepare.__doc__ and corpus.downloads.__doc__


@pytest.mark.parametrize("name", CORPORA)
def test_its_options_are_those_of_its_functions(name: str) -> None:
    corpus = CORPORA[name]
    taken = parameters(corpus.downloads) | parameters(corpus.prepare)
    given = {name: tuple(v) if isinstance(v, list) else v for name, v in options(name).items()}
    assert given == taken
    assert list(inspect.signature(corpus.prepare).parameters)[:2] == ["root", "out"]


@pytest.mark.parametrize("name", CORPORA)
def test_its_downloads_can_be_fetched_and_checked(name: str) -> None:
    files = CORPORA[name].downloads()
    assert len({file.path for file in files}) == len(files)
    for file in files:
        safe = file.url.startswith("https://")
        assert safe or (file.url.startswith("http://") and file.checksum), file.url
        assert file.checksum == "" or CHECKSUM.fullmatch(file.checksum), file
        assert not leaves_root(file.path) and PurePosixPath(file.path).name
        assert not file.unpack or file.path.endswith(ARCHIVES), file


@pytest.mark.parametrize("name", sorted(set(CORPORA) - MADE_OR_OWN))
def test_an_empty_folder_says_where_to_get_it(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty") as caught:
        CORPORA[name].prepare(tmp_path / "empty", tmp_path / "out")
    assert len(str(caught.value)) > len(str(tmp_path)) + 40
    assert not (tmp_path / "out").exists()


def test_no_two_corpora_share_a_name() -> None:
    assert len(CORPORA) == sum(len(modality.corpora()) for modality in known_modalities())


def test_listing_the_corpora_does_not_wait_for_torch() -> None:
    code = (
        "import sys; from audioinv.data.modality import known_modalities\n"
        "for modality in known_modalities(): modality.corpora()\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
