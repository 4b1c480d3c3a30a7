"""Tables of ranks, of paired tests and of published figures, which stand below the main ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from audioinv.report.collect import Experiment
from audioinv.report.compare import beside, comparisons, of_ours, published, ranks
from audioinv.report.tables import Sheet
from audioinv.tasks.result import Result


def sheets_of(
    experiment: Experiment, values: pd.DataFrame, against: str | None, published_rows: Path | None
) -> list[Sheet]:
    """What stands below the main tables: those of ranks, of tests and of published figures."""
    order = ranks(values)
    sheets = [] if order.empty else [rank_sheet(order)]
    if against:
        sheets.append(comparison_sheet(comparisons(experiment.results, against), against))
    if published_rows:
        sheets += published_sheets(experiment.results, published(published_rows))
    return sheets


def rank_sheet(order: pd.Series) -> Sheet:
    """Mean ranks, the best of each protocol first."""
    table = order.rename("rank").rename_axis(["protocol", "label"]).reset_index()
    table = table.sort_values(["protocol", "rank"], kind="stable")
    shown = table.assign(rank=table["rank"].map("{:.2f}".format))
    note = "Over the tasks that every row of the protocol has; 1 is the best, equals share a rank."
    return Sheet("Mean ranks", ["protocol", "row", "rank"], _rows(shown), 1, note)


def comparison_sheet(table: pd.DataFrame, against: str) -> Sheet:
    """Paired tests."""
    shown = table[["protocol", "label", "task", "difference", "p", "clips"]].assign(
        difference=table["difference"].map("{:+.4f}".format), p=table["p"].map("{:.4f}".format)
    )
    head = ["protocol", "row", "task", "difference", "p", "clips"]
    note = "Scores by clip, averaged over seeds; p of a two-sided sign-flip test over clips."
    return Sheet(f"Difference to {against}", head, _rows(shown), 3, note)


def published_sheets(results: Sequence[Result], table: pd.DataFrame) -> list[Sheet]:
    """Published figures with their source: those of our protocols beside ours, the others apart.

    Those of a protocol of ours by which nothing was evaluated here are left out: beside other rows
    of ours they would be compared with them.
    """
    sheets = []
    comparable = table["protocol"].map(of_ours)
    together = beside(results, table[comparable])
    if comparable.any():
        left = int(comparable.sum()) - int((together["source"] != "here").sum())
        note = "Ours and published figures of the same protocol, corpus and task."
        note += f" Left out: {left} published figures without one of ours." if left else ""
        head = list(together.columns)
        sheets.append(Sheet("Published, beside ours", head, _rows(together), 1, note))
    columns = ["row", "source", "corpus", "task", "protocol", "metric", "value"]
    note = "Other people's figures, of their own protocols: for scale, not for ranks."
    if not comparable.all():
        rows = _rows(table.loc[~comparable, columns])
        sheets.append(Sheet("Published, not ours", columns, rows, 1, note))
    return sheets


def _rows(table: pd.DataFrame) -> list[list[str]]:
    return [[str(cell) or "–" for cell in row] for row in table.to_numpy(dtype=object)]
