"""What README, docs and recipes name is there: links, headings, paths, names, commands, targets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from pkgutil import resolve_name

import pytest

from audioinv.cli import make_parser
from audioinv.data.hub import released
from tests.halves import of_images, of_sounds

REPOSITORY = Path(__file__).parents[1]
RESULTS = sorted(REPOSITORY.glob("recipes/*/ssl1/RESULTS.md"))
NOTEBOOKS = sorted(REPOSITORY.glob("recipes/*/ssl1/NOTEBOOK.md"))
TUTORIALS = sorted((REPOSITORY / "docs" / "tutorials").glob("*.ipynb"))
PAGES = [
    REPOSITORY / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
    *sorted((REPOSITORY / "docs").glob("*.md")),
    *RESULTS,
]
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.M)
SPAN = re.compile(r"`([^`\n]+)`")
INDENTED = re.compile(r"^ {4}\S.*", re.M)
BRACES = re.compile(r"\{([^{}]*)\}")
TOP = r"(?:audioinv|vision|recipes|docs|tests|benchmarks|data_manifests|examples|\.ci)"
PATH = re.compile(rf"(?<![\w./-]){TOP}/[\w./{{}},*-]*")
DOTTED = re.compile(r"(?<![\w./-])(?:audioinv|vision)(?:\.[A-Za-z_]\w*)+(?![\w/])")
ENTRY_POINTS = "audioinv.modalities"
COMMAND = re.compile(r"(?<![\w./-])audioinv ([a-z]\w*)")
TARGET = re.compile(r"(?<![\w./-])make ([a-z]\w*(?:-\w+)*)")
MADE = re.compile(r"/exp/|--(?:results|out) \S+")
"""Paths that a command makes."""


def name_of(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def code(text: str) -> str:
    """Shell, indented lines and code within a line; no Python, no output of programs."""
    prose = FENCE.sub("", text)
    fences = [body for language, body in FENCE.findall(text) if language == "sh"]
    return "\n".join([*fences, *INDENTED.findall(prose), *SPAN.findall(prose)])


def alternatives(path: str) -> Iterator[str]:
    """`a/{b,c}.yaml` -> `a/b.yaml`, `a/c.yaml`."""
    parts = BRACES.split(path)
    yield from map("".join, product(*(part.split(",") for part in parts)))


def paths(text: str) -> Iterator[str]:
    """Paths of the repository that code names, without those that a command makes."""
    for line in code(text).splitlines():
        for found in PATH.findall(MADE.sub(" ", line) if "--" in line else line):
            if not MADE.search(found):
                yield from alternatives(found.rstrip(".,"))


def slugs(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def broken_links(page: Path) -> list[str]:
    broken = []
    for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in slugs(target)):
            broken.append(link)
    return broken


def missing_paths(text: str) -> list[str]:
    named = sorted(set(paths(text)) - set(released()))
    return [path for path in named if not list(REPOSITORY.glob(path))]


def missing_names(text: str) -> list[str]:
    missing = []
    for name in sorted(set(DOTTED.findall(code(text))) - {ENTRY_POINTS}):
        try:
            resolve_name(name)
        except (ImportError, AttributeError):
            missing.append(name)
    return missing


@cache
def commands() -> frozenset[str]:
    """Those of the command line."""
    choices = [action.choices for action in make_parser()._actions if action.dest == "command"]
    return frozenset(choices[0] or ())


def unknown_commands(text: str) -> list[str]:
    return sorted(set(COMMAND.findall(code(text))) - commands())


def unknown_targets(text: str) -> list[str]:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    known = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.M))
    return sorted(set(TARGET.findall(code(text))) - known)


@pytest.mark.parametrize("page", [*PAGES, *NOTEBOOKS, *TUTORIALS], ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    assert not broken_links(page)


@of_sounds
@of_images
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not missing_paths(text)
    assert not missing_names(text)
    assert not unknown_commands(text)
    assert not unknown_targets(text)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=name_of)
def test_a_notebook_lies_beside_results_that_link_to_it(notebook: Path) -> None:
    results = notebook.with_name("RESULTS.md").read_text(encoding="utf-8")
    assert "](NOTEBOOK.md)" in results


def test_readme_is_read_in_two_minutes() -> None:
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()) <= 110


def test_what_is_not_there_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A head\n[a](#a-head) [b](#b-head) [c](gone.md) [d](https://example.org)\n")
    assert broken_links(page) == ["#b-head", "gone.md"]
    named = "`audioinv/core/`, `audioinv/core/loop.py`, `recipes/{demo,gone}/ssl1/run.sh`"
    assert missing_paths(named) == ["audioinv/core/loop.py", "recipes/gone/ssl1/run.sh"]
    assert missing_names("`audioinv.core.penalty`, `audioinv.core.loop`") == ["audioinv.core.loop"]
    assert unknown_commands("`audioinv adapt`, `audioinv guess`; audioinv is") == ["guess"]
    assert unknown_targets("`make demo`, `make tea`") == ["tea"]
