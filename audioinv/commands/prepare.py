"""audioinv prepare: the files of a corpus -> its manifest."""

from __future__ import annotations

import argparse
from pathlib import Path

from audioinv.commands.options import add_on_error, also_inside, corpora, corpus_parsers, given_to

HELP = "write the manifest of a corpus"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """A corpus, its folders, and its own options."""
    for one in corpus_parsers(command, "prepare"):
        one.add_argument("--out", required=True, type=Path, help="folder for the manifest")
        one.add_argument("--seed", type=int, default=0, help="of drawn splits (default 0)")
        add_on_error(one, "a file")
        also_inside(one)
        one.add_argument(
            "--strict", action="store_true", help="refuse to leave out any file, for any reason"
        )


def run(options: argparse.Namespace) -> None:
    """Writes the manifest, tells what is in it and what is not, and prints its path."""
    from audioinv.data.manifest import read_manifest
    from audioinv.data.preparing import preparing
    from audioinv.data.summary import summary

    corpus = corpora()[options.corpus]
    with preparing(options.on_error, options.strict, options.also_inside) as preparation:
        path = corpus.prepare(**given_to(corpus.prepare, options))
    manifest = read_manifest(path, also=options.also_inside)
    print("\n".join(summary(manifest, preparation, path.parent)))
    print(path)
