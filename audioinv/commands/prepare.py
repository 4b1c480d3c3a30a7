"""audioinv prepare: the files of a corpus -> its manifest."""

from __future__ import annotations

import argparse
from pathlib import Path

from audioinv.commands.options import corpora, corpus_parsers, given_to

HELP = "write the manifest of a corpus"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """A corpus, its folders, and its own options."""
    for one in corpus_parsers(command, "prepare"):
        one.add_argument("--out", required=True, type=Path, help="folder for the manifest")
        one.add_argument("--seed", type=int, default=0, help="of drawn splits (default 0)")


def run(options: argparse.Namespace) -> None:
    """Writes the manifest and prints its path."""
    corpus = corpora()[options.corpus]
    print(corpus.prepare(**given_to(corpus.prepare, options)))
