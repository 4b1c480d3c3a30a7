"""audioinv report: what a page over an experiment needs beside its runs, and the page."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "one self-contained HTML page over all runs of an experiment"
ABOUT = "Reads the run folders in EXPDIR and writes EXPDIR/report.html."


def add_arguments(command: argparse.ArgumentParser) -> None:
    """An experiment, and what is told beside it."""
    command.add_argument("expdir", type=Path, metavar="EXPDIR")
    command.add_argument("--results", type=Path, help="also put the table into this Markdown file")
    command.add_argument("--pack", help="pack from which a clip is shown under each augmentation")
    command.add_argument("--title", help="of the page (default: the folder's name)")
    command.add_argument("--made_by", help="the command that made the runs, to print on the page")


def run(options: argparse.Namespace) -> None:
    """Writes the page and prints its path."""
    print(main(options.expdir, options.results, options.pack, options.title, options.made_by))


def main(
    expdir: Path, results: Path | None, pack: str | None, title: str | None, made_by: str | None
) -> Path:
    """Writes examples/, experiment.json and report.html into `expdir`; returns the page's path.

    Args:
        pack: where the example clip comes from; None leaves the examples out.
        made_by: the command that made the runs. Title, command and hardware are written when given
            it.
    """
    from audioinv.base.files import write_json
    from audioinv.commands.examples import write_examples
    from audioinv.conf.schema import Config
    from audioinv.report import write_report
    from audioinv.runs.folder import hardware

    runs = sorted(path.parents[1] for path in expdir.glob("*/encoder/encoder.json"))
    if pack and runs:
        write_examples(Config(run=str(runs[0]), pack=pack), expdir / "examples")
    if made_by:
        about = {"title": title or expdir.name, "command": made_by, "hardware": hardware()}
        write_json(expdir / "experiment.json", about)
    return write_report(expdir, results)
