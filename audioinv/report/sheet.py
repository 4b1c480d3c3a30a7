"""A plain table that stands below the main ones, in Markdown and on the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from audioinv.report.tables import escape


@dataclass(frozen=True)
class Sheet:
    """A title, the heads of the columns, rows of as many texts, and a note.

    Args:
        numbers: how many of the last columns are numbers, to stand to the right.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: int = 1
    note: str = ""

    def markdown(self) -> str:
        """As a GitHub Markdown table under its title."""
        texts = len(self.head) - self.numbers
        rule = ["---"] * texts + ["---:"] * self.numbers
        lines = [self.head, rule, *([escape(cell) for cell in row] for row in self.rows)]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return "\n\n".join(part for part in (f"**{self.title}**", table, self.note) if part) + "\n"
