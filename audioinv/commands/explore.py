"""audioinv explore: a page on which a switch for each component changes who is whose neighbour."""

from __future__ import annotations

import argparse
import logging
from contextlib import suppress
from pathlib import Path

from audioinv.commands.similar import add_index

HELP = "a page to hear what a descriptor does: switches, neighbours, a map"
ABOUT = (
    "Serves a page on this machine, or writes it as one self-contained file (--export). A switch a "
    "component says what is ignored; a clip's ten neighbours and the map follow. A file of one's "
    "own can be dropped on the served page (32 MiB at most, of which the first 30 s count). "
    "Example: audioinv explore --index index --query flute-60"
)
SERVED, EXPORTED = 4000, 300  # clips on the page
log = logging.getLogger(__name__)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """An index, and how the page opens."""
    add_index(command)
    command.add_argument(
        "--switch",
        action="append",
        default=[],
        metavar="COMPONENT",
        help="that can be thrown; may be given several times, four at most (default all)",
    )
    command.add_argument("--query", default="", metavar="ID", help="clip at which the page opens")
    command.add_argument(
        "--clips",
        type=int,
        help=f"at most so many on the page, drawn at random (default {SERVED}; {EXPORTED} of "
        "--export, whose file holds them)",
    )
    command.add_argument(
        "--export", type=Path, metavar="FILE", help="write the page, serve nothing"
    )
    command.add_argument(
        "--host",
        default="127.0.0.1",
        help="to listen at (default 127.0.0.1: this machine alone; 0.0.0.0 lets everybody who "
        "reaches it hear the clips)",
    )
    command.add_argument("--port", type=int, default=8000, help="0: a free one (default 8000)")


def run(options: argparse.Namespace) -> None:
    """Writes the page, or serves it until it is interrupted."""
    from audioinv.base.files import write_text
    from audioinv.search.explore import explorer
    from audioinv.search.index import open_index
    from audioinv.search.page import render

    clips = options.clips or (EXPORTED if options.export else SERVED)
    given = options.ignore, options.heed, options.switch, options.query
    shown = explorer(open_index(options.index), clips, *given)
    if options.export:
        write_text(options.export, render(shown, options.query))
        size = options.export.stat().st_size
        log.info("%s: %d clips, %.1f MB", options.export, len(shown.rows), size / 1e6)
        return
    from audioinv.search.server import Server

    with Server(shown, options.query, options.host, options.port) as server:
        print(f"{server.url} (Ctrl-C ends it)", flush=True)
        with suppress(KeyboardInterrupt):
            server.serve_forever()
