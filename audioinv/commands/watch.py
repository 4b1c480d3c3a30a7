"""audioinv watch: a page that follows a run while it trains."""

from __future__ import annotations

import argparse
import logging
from contextlib import suppress
from pathlib import Path

HELP = "a page that follows a run while it trains: progress, loss, monitor, warnings"
ABOUT = (
    "Serves a page on this machine alone that refreshes itself, for a run on its way or a finished "
    "one. --once writes it as one self-contained file instead. "
    "Example: audioinv watch exp/demo/amortised_s0"
)
log = logging.getLogger(__name__)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """A run, and where its page goes."""
    command.add_argument("run_folder", type=Path, metavar="RUN", help="folder of a run")
    command.add_argument(
        "--once", type=Path, metavar="FILE", help="write the page to an .html file, serve nothing"
    )
    command.add_argument("--port", type=int, default=8000, help="0: a free one (default 8000)")


def run(options: argparse.Namespace) -> None:
    """Writes the page, or serves it until it is interrupted."""
    from audioinv.base.files import write_text
    from audioinv.report.watch import WatchServer, read_run, render

    if options.once:
        write_text(options.once, render(read_run(options.run_folder)))
        log.info("%s: written", options.once)
        return
    with WatchServer(options.run_folder, options.port) as server:
        print(f"{server.url} (Ctrl-C ends it)", flush=True)
        with suppress(KeyboardInterrupt):
            server.serve_forever()
