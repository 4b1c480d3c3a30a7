"""audioinv similar: the clips of an index that are most like those given, as CSV."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HELP = "clips like this one, whatever the pitch: neighbours by descriptor"
ABOUT = (
    "Writes a row a neighbour, the nearest first: the query, rank, similarity (a cosine), and the "
    "manifest's columns. What is ignored may differ; what is heeded counts. A component that is in "
    "neither is ignored. Example: audioinv similar flute.wav --ignore pitch_shift --heed "
    "white_noise -k 10"
)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Clips, and what counts."""
    command.add_argument(
        "paths", nargs="+", metavar="FILE", help="file, folder, or the id of a clip of the pack"
    )
    add_index(command)
    command.add_argument("-k", type=int, default=10, help="neighbours of each (default 10)")
    command.add_argument("--out", type=Path, help="CSV file to write (default: standard output)")


def add_index(command: argparse.ArgumentParser) -> None:
    """An index, and what is ignored and heeded."""
    command.add_argument(
        "--index", type=Path, default=Path("index"), metavar="DIR", help="folder (default index)"
    )
    for name, what in (("ignore", "in which a clip may differ"), ("heed", "that counts")):
        command.add_argument(
            f"--{name}",
            action="extend",
            type=lambda text: text.split("+"),
            default=[],
            metavar="COMPONENT",
            help=f"component of the encoder's descriptor {what}, or a+b; may be "
            "given several times; a wrong name is answered with all there are",
        )


def run(options: argparse.Namespace) -> None:
    """Writes the neighbours."""
    from audioinv.base.files import write_text
    from audioinv.search.index import open_index

    index = open_index(options.index)
    found = index.similar(options.paths, options.ignore, options.heed, options.k)
    text = found.to_csv(index=False, lineterminator="\n")
    if options.out is None:
        sys.stdout.write(text)
    else:
        write_text(options.out, text)
