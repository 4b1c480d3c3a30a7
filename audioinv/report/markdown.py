"""GitHub Markdown: the one place where tables are written."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: int) -> str:
    """A table, without a line end.

    Args:
        head, rows: Markdown; `escape` makes it of words.
        numbers: how many of the last columns stand to the right.
    """
    rule = ["---"] * (len(head) - numbers) + ["---:"] * numbers
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def escape(text: str) -> str:
    """`text` as plain words inside a cell."""
    plain = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*\[\]|])", r"\\\1", plain)


def code(text: str) -> str:
    """`text` as inline code, fenced by more backticks than it holds in a row."""
    flat = " ".join(text.split())
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", flat)), default=0))
    return f"{fence}{flat}{fence}" if len(fence) == 1 else f"{fence} {flat} {fence}"
