"""audioinv table: the results of one or several experiments as one table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from audioinv.core.errors import UserError
from audioinv.core.files import atomic_path, write_text
from audioinv.report.compare import comparisons, join, published, ranks, tidy
from audioinv.report.tables import tables_markdown


def main(
    expdirs: Sequence[Path],
    out: Path | None = None,
    against: str | None = None,
    published_rows: Path | None = None,
) -> str:
    """Markdown of all tables, mean ranks, paired tests and published rows.

    Args:
        out: without ending: OUT.md and OUT.csv (one line a protocol, task and row) are written.
        against: label of the row that every other is tested against.
        published_rows: CSV of other people's figures, shown apart.

    Raises:
        UserError: nothing to tabulate, or an unreadable file.
    """
    experiment = join(expdirs)
    if not experiment.results:
        raise UserError(f"no run in {', '.join(map(str, expdirs))} has a result yet")
    values = tidy(experiment.results)
    parts = [tables_markdown(experiment), rank_lines(ranks(values))]
    if against:
        parts.append(comparison_lines(comparisons(experiment.results, against), against))
    if published_rows:
        parts.append(published_lines(published(published_rows)))
    text = "\n".join(part for part in parts if part)
    if out is not None:
        write_text(out.with_suffix(".md"), text)
        with atomic_path(out.with_suffix(".csv")) as temporary:
            values.to_csv(temporary, index=False)
    return text


def rank_lines(values: pd.Series) -> str:
    """Mean ranks as Markdown, the best first; "" with a single task a protocol."""
    if values.empty:
        return ""
    lines = ["| mean rank over tasks | protocol | rank |", "| --- | --- | ---: |"]
    table = values.sort_values().rename("rank").rename_axis(["protocol", "label"]).reset_index()
    lines += [f"| {row.label} | {row.protocol} | {row.rank:.2f} |" for row in table.itertuples()]
    return "\n".join(lines) + "\n"


def comparison_lines(table: pd.DataFrame, against: str) -> str:
    """Paired tests as Markdown."""
    head = f"| difference to {against} | task | difference | p | clips |"
    lines = [head, "| --- | --- | ---: | ---: | ---: |"]
    lines += [
        f"| {row.label} | {row.task} | {row.difference:+.4f} | {row.p:.4f} | {row.clips} |"
        for row in table.itertuples()
    ]
    note = "Scores by clip, averaged over seeds; p of a two-sided sign-flip test over clips."
    return "\n".join([*lines, "", note]) + "\n"


def published_lines(table: pd.DataFrame) -> str:
    """Published figures as Markdown, with their source."""
    lines = ["| published, not ours | corpus | task | protocol | value | source |"]
    lines += ["| --- | --- | --- | --- | ---: | --- |"]
    lines += [
        f"| {row.row} | {row.corpus} | {row.task} | {row.protocol} | {row.value} | {row.source} |"
        for row in table.itertuples()
    ]
    return "\n".join(lines) + "\n"
