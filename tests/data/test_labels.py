"""One label has one form, however people and their programs write it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from audioinv.data.labels import is_list, label_texts
from audioinv.data.table import read_table


@pytest.mark.parametrize(
    "texts", [["dog ", "\tdog", "\u00a0dog", "dog\u200b"], ["caf\u00e9", "cafe\u0301 "]]
)
def test_blanks_and_signs_make_no_other_label(texts: list[str]) -> None:
    assert label_texts(pd.Series(texts)).nunique() == 1


def test_a_missing_label_and_blanks_are_none() -> None:
    assert label_texts(pd.Series(["a", None, float("nan"), "  "])).tolist() == ["a", "", "", ""]
    assert label_texts(pd.Series([1.5, float("nan")])).tolist() == ["1.5", ""]


@pytest.mark.parametrize(
    "text",
    ["['a', 'b']", '["a"]', "['a' 'b']", "[]", "{'a'}", "('a',)", "[a, b]", "[1, 2]"],
)
def test_lists_that_a_program_wrote_are_known(text: str) -> None:
    assert is_list(text)
    assert not any(map(is_list, ["[laughter]", "a, b", "(quiet)", "it's", ""]))


def test_several_labels_are_each_taken_once() -> None:
    texts = pd.Series(["a; b", "b ;a;", ";", "a;a"])
    assert label_texts(texts, many=True).tolist() == ["a;b", "b;a", "", "a"]


def test_lists_of_parquet_are_several_labels(tmp_path: Path) -> None:
    frame = pd.DataFrame({"tags": [["a", "b"], [], ["c"], None]})
    frame.to_parquet(tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet")["tags"].tolist() == ["a;b", "", "c", ""]


@pytest.mark.parametrize("head", ["", "sep=;\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_spreadsheets_of_other_countries_are_read(tmp_path: Path, head: str, mark: str) -> None:
    path = tmp_path / "manifest.csv"
    path.write_text(f"{mark}{head}id;start;word\nx;0,25;un, deux\ny;-1,5e3;3\n", encoding="utf-8")
    assert read_table(path).to_dict("list") == {
        "id": ["x", "y"],
        "start": ["0.25", "-1.5e3"],
        "word": ["un, deux", "3"],
    }


def test_tabs_are_read_and_other_encodings_named(tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    path.write_text("id\tword\nx\ta,b\n", encoding="utf-8")
    assert read_table(path)["word"].tolist() == ["a,b"]
    path.write_text("id;word\nx;\u00e9\n", encoding="latin-1")
    with pytest.raises(Exception, match="save it as CSV UTF-8"):
        read_table(path)
