"""audioinv report: what a page over an experiment needs beside its runs, and the page."""

from __future__ import annotations

from pathlib import Path

from audioinv.base.files import write_json
from audioinv.commands.examples import write_examples
from audioinv.conf.schema import Config
from audioinv.report import write_report
from audioinv.runs.folder import hardware


def main(
    expdir: Path, results: Path | None, pack: str | None, title: str | None, made_by: str | None
) -> Path:
    """Writes examples/, experiment.json and report.html into `expdir`; returns the page's path.

    Args:
        pack: where the example clip comes from; None leaves the examples out.
        made_by: the command that made the runs. Title, command and hardware are written when given
            it.
    """
    runs = sorted(path.parents[1] for path in expdir.glob("*/encoder/encoder.json"))
    if pack and runs:
        write_examples(Config(run=str(runs[0]), pack=pack), expdir / "examples")
    if made_by:
        about = {"title": title or expdir.name, "command": made_by, "hardware": hardware()}
        write_json(expdir / "experiment.json", about)
    return write_report(expdir, results)
