"""What MkDocs does not do by itself; mkdocs.yml names this file.

Pages of the repository that lie outside docs/ join the site when a page links to them. Notebooks
are executed and become pages. `<!-- made: NAME -->` becomes what `made.MAKERS[NAME]` makes.
"""

from __future__ import annotations

import re
from pathlib import Path

import links
import made
import notebooks
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

MARK = re.compile(r"<!-- made: (\w+) -->")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are not in docs/ as Markdown."""
    docs = Path(config.docs_dir)
    for path in links.outside(docs):
        uri = links.uri_of(path, docs)
        files.append(File.generated(config, uri, content=links.content(path)))
    for notebook in sorted(docs.glob("tutorials/*.ipynb")):
        text, pictures = notebooks.page(notebook, run=config.extra["notebooks"] == "run")
        folder = notebook.relative_to(docs).parent.as_posix()
        files.append(File.generated(config, f"{folder}/{notebook.stem}.md", content=text))
        _add(files, config, {f"{folder}/{name}": data for name, data in pictures.items()})
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Leads links that leave docs/ to their pages, and puts in what is made."""
    docs = Path(config.docs_dir)

    def put_in(mark: re.Match[str]) -> str:
        text, own = made.MAKERS[mark[1]]()
        _add(files, config, {f"made/{name}": data for name, data in own.items()})
        return text

    return MARK.sub(put_in, links.led(markdown, page.file.src_uri, docs))


def _add(files: Files, config: MkDocsConfig, own: dict[str, bytes]) -> None:
    for uri, data in own.items():
        if uri not in files.src_uris:  # another page may show it too
            files.append(File.generated(config, uri, content=data))
