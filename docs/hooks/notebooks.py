"""Notebooks become pages: executed in an empty folder, with what they print, draw and play."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient
from nbconvert import MarkdownExporter

TIMEOUT_S = 600  # of a cell
QUIET = {"TTY_COMPATIBLE": "0", "PYTHONWARNINGS": "ignore"}
"""Kernels force colours and bars upon commands, and warn of widgets that a page cannot have."""


def page(path: Path, run: bool) -> tuple[str, dict[str, bytes]]:
    """Markdown of a notebook, and its pictures by their names.

    Args:
        run: whether it is executed first; else its code is shown without results.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell fails.
    """
    notebook = executed(path) if run else nbformat.read(path, as_version=4)
    exporter = MarkdownExporter()
    text, resources = exporter.from_notebook_node(
        notebook, resources={"unique_key": path.stem, "output_files_dir": f"{path.stem}_files"}
    )
    download = f"[This page is a notebook]({path.name}){{ download }}: run it yourself.\n"
    head, _, rest = text.partition("\n\n")
    return f"{head}\n\n{download}\n{rest}", dict(resources.get("outputs", {}))


def executed(path: Path) -> nbformat.NotebookNode:
    """The notebook with the outputs of its cells; what they write is removed again."""
    notebook = nbformat.read(path, as_version=4)
    with TemporaryDirectory() as folder:
        where = {"metadata": {"path": folder}}
        client = NotebookClient(notebook, timeout=TIMEOUT_S, resources=where, coalesce_streams=True)
        client.execute(env={**os.environ, **QUIET})
    return notebook
