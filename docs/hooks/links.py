"""Links that are right in the repository, made right in the site.

A page outside docs/ has its path in the repository as its address. Code becomes a page that shows
it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

LINK = re.compile(r"(\]\()([^)\s]+)(\))")
FENCES = re.compile(r"(^```.*?^```)", re.DOTALL | re.M)


def outside(docs: Path) -> list[Path]:
    """The files outside `docs` that its pages link to, with those that these link to, and so on."""
    open_ = [*docs.glob("*.md"), *docs.glob("tutorials/*.ipynb")]
    found: set[Path] = set()
    while open_:
        page = open_.pop()
        for target in _targets(page):
            if docs not in target.parents and target.is_file() and target not in found:
                found.add(target)
                open_ += [target] if target.suffix == ".md" else []
    return sorted(found)


def uri_of(path: Path, docs: Path) -> str:
    """The source address in the site of a file of the repository."""
    if docs in path.parents:
        notebook = path.suffix == ".ipynb"
        return (path.with_suffix(".md") if notebook else path).relative_to(docs).as_posix()
    relative = path.relative_to(docs.parent).as_posix()
    return relative if path.suffix == ".md" else f"{relative}.md"


def content(path: Path) -> str:
    """A file outside docs/ as a page."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return text
    return f"# {path.name}\n\n```{path.suffix.removeprefix('.')}\n{text}```\n"


def led(markdown: str, uri: str, docs: Path) -> str:
    """The text of the page at `uri` with its links leading to addresses of the site."""
    here = docs if (docs / uri).exists() or uri.startswith("tutorials/") else docs.parent
    return _changed(markdown, lambda link: _led(link, here / uri, uri, docs))


def _led(link: str, page: Path, uri: str, docs: Path) -> str:
    name, mark, anchor = link.partition("#")
    target = _target(page, name)
    if target is None or not target.is_file():
        return link
    start = PurePosixPath(uri).parent.as_posix()
    return os.path.relpath(uri_of(target, docs), start).replace(os.sep, "/") + mark + anchor


def _targets(page: Path) -> Iterator[Path]:
    prose = FENCES.sub("", page.read_text(encoding="utf-8"))
    for _, link, _ in LINK.findall(prose):
        target = _target(page, link.partition("#")[0])
        if target is not None:
            yield target


def _target(page: Path, name: str) -> Path | None:
    """The file that a link names; None of one to an address or a heading."""
    if not name or re.match(r"[a-z]+:", name):
        return None
    return Path(os.path.normpath(page.parent / name))


def _changed(markdown: str, change: Callable[[str], str]) -> str:
    parts = FENCES.split(markdown)
    for place in range(0, len(parts), 2):  # every other part is a fence
        parts[place] = LINK.sub(lambda m: m[1] + change(m[2]) + m[3], parts[place])
    return "".join(parts)
