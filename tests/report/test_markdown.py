"""Markdown tables as a reader of GitHub sees them."""

from __future__ import annotations

import re

import pytest

from audioinv.report.markdown import code, escape, markdown_table
from audioinv.report.tables import Sheet


def cells(line: str) -> list[str]:
    """A row's cells: divided at every bar that has no backslash before it."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_numbers_stand_to_the_right_and_every_row_has_all_cells() -> None:
    table = markdown_table(
        ["name", "unit", "value"], [["a", "s", "1"], ["b", "Hz", "2"]], numbers=1
    )
    head, rule, *rows = map(cells, table.split("\n"))
    assert head == ["name", "unit", "value"] and rule == ["---", "---", "---:"]
    assert rows == [["a", "s", "1"], ["b", "Hz", "2"]]


@pytest.mark.parametrize(
    "text", ["a|b", "*a*", "`a`", "[a](b)", "back\\slash", "two\nlines", "a<b"]
)
def test_words_stay_words(text: str) -> None:
    sheet = Sheet("Title", ["name", "value"], [[text, "1"]])
    row = cells(sheet.markdown().split("\n")[4])
    assert row == [escape(text), "1"]
    plain = re.sub(r"\\(.)", r"\1", row[0]).replace("&lt;", "<")
    assert plain == text.replace("\n", " ")


@pytest.mark.parametrize("text", ["plain", "one ` in it", "two `` in it"])
def test_code_is_fenced_by_more_than_it_holds(text: str) -> None:
    fence = re.match("`+", code(text))
    assert fence and fence[0] not in text.split() and code(text).strip("`").strip() == text
