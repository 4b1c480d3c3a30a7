"""audioinv index: clips of a pack, to be searched by what they are like under a descriptor."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "index the clips of a pack or a folder, to search them by descriptor"
RELEASED = "audioinv/notes-and-noises"
ABOUT = (
    "Writes an index of neighbours for each corner that is asked for, by features of the encoder "
    "there. audioinv similar and audioinv explore make a further corner when it is first wanted. "
    "What stands finished is kept; an index of another pack or encoder is refused. "
    "Of a folder of files a pack is made first, inside the index. "
    f"Examples: audioinv index my_sounds (the encoder is {RELEASED}, which comes with audioinv); "
    "audioinv index packs/notes --encoder exp/mine/amortised_s0/encoder"
)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """A pack, an encoder, and the corners."""
    command.add_argument("pack", metavar="PACK", type=Path, help="pack, or any folder of files")
    command.add_argument(
        "--encoder",
        default=RELEASED,
        metavar="DIR",
        help=f"folder, RUN/encoder, or the name of one (default {RELEASED})",
    )
    command.add_argument(
        "--out", type=Path, default=Path("index"), help="folder of the index (default index)"
    )
    command.add_argument(
        "--descriptor",
        action="append",
        metavar="D",
        help="a corner to make now: all, none, a+b (only these are ignored) or -a (all but this); "
        "may be given several times (default all)",
    )
    command.add_argument(
        "--levels",
        choices=("last", "all", "depth"),
        default="last",
        help="of the network that are compared: the last layer, every stage as well, or the front "
        "end's rows too (default last, which follows the descriptor furthest)",
    )


def run(options: argparse.Namespace) -> None:
    """Makes the index and prints its folder."""
    from audioinv.search.index import index

    corners = options.descriptor or ["all"]
    print(index(options.pack, options.encoder, options.out, corners, options.levels).folder)
