"""audioinv table: the results of one or several experiments as one table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from audioinv.base.errors import UserError

HELP = "results of one or several experiments in one table, with ranks and paired tests"
ABOUT = (
    "Reads run folders of every EXPDIR; prints Markdown: mean and standard "
    "deviation over seeds, mean ranks over tasks, paired tests, published rows."
)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Experiments, and what is set against them."""
    command.add_argument("expdirs", nargs="+", type=Path, metavar="EXPDIR")
    command.add_argument("--out", type=Path, help="write OUT.md, OUT.csv and OUT.html as well")
    command.add_argument("--results", type=Path, help="also put the text into this Markdown file")
    command.add_argument("--against", help="name of a row: test every other against it")
    command.add_argument("--published", type=Path, help="CSV of published figures, shown apart")


def run(options: argparse.Namespace) -> None:
    """Prints the tables."""
    given = options.out, options.against, options.published, options.results
    print(main(options.expdirs, *given))


def main(
    expdirs: Sequence[Path],
    out: Path | None = None,
    against: str | None = None,
    published_rows: Path | None = None,
    results: Path | None = None,
) -> str:
    """Markdown of all tables, mean ranks, paired tests and published rows.

    Its last line names the command that made the runs, where one is recorded, and this one.

    Args:
        out: without ending: OUT.md, OUT.html and OUT.csv (one line a protocol, task and row) are
            written.
        against: label of the row that every other is tested against.
        published_rows: CSV of other people's figures: shown beside ours of the same protocol,
            corpus and task, or apart where their protocol is none of ours.
        results: Markdown file that the text is put into, between its markers.

    Raises:
        UserError: nothing to tabulate, or an unreadable file.
    """
    from audioinv.base.files import atomic_path, write_text
    from audioinv.report.compare import join, tidy
    from audioinv.report.page import render
    from audioinv.report.sheets import sheets_of
    from audioinv.report.tables import tables_markdown, write_results
    from audioinv.runs.folder import command_line

    experiment = join(expdirs)
    if not experiment.results:
        raise UserError(f"no run in {', '.join(map(str, expdirs))} has a result yet")
    values = tidy(experiment.results)
    sheets = sheets_of(experiment, values, against, published_rows)
    recorded = [str(experiment.about["command"])] if experiment.about.get("command") else []
    made = "; ".join([*recorded, command_line()])
    told = replace(experiment, about={**experiment.about, "command": made})
    text = "\n".join([tables_markdown(told), *(sheet.markdown() for sheet in sheets)])
    if out is not None:
        write_text(f"{out}.md", text)
        write_text(f"{out}.html", render(experiment, sheets))
        with atomic_path(f"{out}.csv") as temporary:
            values.to_csv(temporary, index=False)
    if results is not None:
        write_results(results, text)
    return text
