"""audioinv download: the public files of a corpus, fetched and unpacked."""

from __future__ import annotations

import argparse

from audioinv.base.errors import UserError
from audioinv.commands.options import corpora, corpus_parsers, given_to

HELP = "fetch the public files of a corpus and unpack"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """A corpus, and what its downloads depend on."""
    for _ in corpus_parsers(command, "downloads"):
        pass


def run(options: argparse.Namespace) -> None:
    """Fetches into the folder `root` and prints it.

    Raises:
        UserError: nothing of the corpus is public, or a download fails.
    """
    from audioinv.commands.progress import download_progress
    from audioinv.data.download import fetch

    corpus = corpora()[options.corpus]
    files = corpus.downloads(**given_to(corpus.downloads, options))
    if not files:
        raise UserError(f"nothing to download. {corpus.ACCESS}")
    with download_progress() as report:
        fetch(files, options.root, report)
    print(options.root)
