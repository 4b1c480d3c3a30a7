"""Tables as spreadsheets of many countries write them, with one label a row and with several."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from audioinv.audio.corpora import table
from audioinv.base.errors import UserError
from audioinv.cli import main
from audioinv.data.manifest import read_manifest

WriteAudio = Callable[..., None]


@pytest.fixture
def root(tmp_path: Path, write_audio: WriteAudio) -> Path:
    """a.wav and b.wav of 2 s."""
    write_audio(tmp_path / "sounds", ["a.wav", "b.wav"], duration_s=2.0)
    return tmp_path / "sounds"


def prepared(root: Path, text: str, name: str = "calls.csv"):  # type: ignore[no-untyped-def]
    given = root.parent / name
    given.write_text(text, encoding="utf-8")
    return read_manifest(table.prepare(root, root.parent / "out", table=given))


@pytest.mark.parametrize("mark", ["", "\ufeff", "sep=;\n"])
def test_semicolons_and_decimal_commas(root: Path, mark: str) -> None:
    text = f"{mark}path;start;end;label\na.wav;0,25;1,5;dog, big\nb.wav;0;0,75;cat\n"
    frame = prepared(root, text).frame
    assert frame["start"].tolist() == [0.25, 0.0]
    assert frame["duration"].tolist() == [1.25, 0.75]
    assert frame["label"].tolist() == ["dog, big", "cat"]


def test_decimal_commas_of_raven_and_audacity(root: Path) -> None:
    raven = "Selection\tBegin Time (s)\tEnd Time (s)\tBegin File\tAnnotation\n"
    frame = prepared(root, raven + "1\t0,5\t1,25\ta.wav\towl\n", "calls.txt").frame
    assert (frame["start"][0], frame["duration"][0]) == (0.5, 0.75)
    (root / "a.txt").write_text("0,5\t1,25\towl\n")
    frame = read_manifest(table.prepare(root, root.parent / "audacity")).frame
    assert (frame["start"][0], frame["duration"][0]) == (0.5, 0.75)


def test_cells_of_several_labels_make_a_multilabel_task(root: Path) -> None:
    text = "path,start,end,label\na.wav,0,1,dog;\nb.wav,0,1,dog; cat\na.wav,1,2,cat\n"
    (task,) = prepared(root, text).corpus.tasks
    assert task.kind == "multilabel"


def test_lists_are_refused(root: Path) -> None:
    with pytest.raises(UserError, match=r"calls\.csv:2: label is the list \['a', 'b'\].*a;b"):
        prepared(root, "path,start,end,label\na.wav,0,1,\"['a', 'b']\"\nb.wav,0,1,c\n")


def test_a_row_without_a_label_is_kept_and_counted(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "path,start,end,label\na.wav,0,1,dog\nb.wav,0,1,\na.wav,1,2,cat\n"
    frame = prepared(root, rows).frame
    assert frame["label"].tolist() == ["dog", "", "cat"]
    assert main(["validate", str(root.parent / "out"), "--no_audio"]) == 0
    assert "1 of 3 clips have no label" in capsys.readouterr().out


@pytest.mark.parametrize("header", ["Path,Start,End,Label,Split", "PATH,START,END,LABEL,SPLIT"])
def test_capitals_of_columns_and_parts_do_not_count(root: Path, header: str) -> None:
    rows = "a.wav,0,1,Dog,Train\nb.wav,0,1,cat,TEST\na.wav,1,2,cat,dev\n"
    frame = prepared(root, f"{header}\n{rows}").frame
    assert frame["split"].tolist() == ["train", "test", "valid"]
    assert frame["label"].tolist() == ["Dog", "cat", "cat"]


def test_parquet_is_read_and_spreadsheets_are_named(root: Path) -> None:
    rows = {"path": ["a.wav", "b.wav"], "end": [1.0, 0.5], "label": [["x", "y"], None]}
    pd.DataFrame(rows).to_parquet(root.parent / "calls.parquet")
    out = table.prepare(root, root.parent / "out", table=root.parent / "calls.parquet")
    frame = read_manifest(out).frame
    assert frame["duration"].tolist() == [1.0, 0.5]
    assert frame["label"].tolist() == ["x;y", ""]
    (root.parent / "calls.xlsx").write_bytes(b"PK\3\4")
    with pytest.raises(UserError, match="spreadsheet; save it as CSV"):
        table.prepare(root, root.parent / "out", table=root.parent / "calls.xlsx")


def test_a_column_that_is_there_twice_is_refused(root: Path) -> None:
    with pytest.raises(UserError, match="has the column label twice; rename"):
        prepared(root, "path,start,end,label,Label\na.wav,0,1,x,y\n")


def test_labels_in_a_column_of_another_name_are_not_lost_without_a_word(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = root.parent / "calls.csv"
    calls.write_text("path,start,end,species\na.wav,0,1,owl\nb.wav,0,1,cat\n")
    out = ["--root", str(root), "--out", str(root.parent / "out"), "--table", str(calls)]
    assert main(["prepare", "table", *out]) == 0
    assert "give --label one of species" in capsys.readouterr().out


def test_sounds_that_are_not_there_may_be_left_out(root: Path) -> None:
    calls = root.parent / "calls.csv"
    calls.write_text("path,start,end,label\na.wav,0,1,dog\nnone.wav,0,1,dog\nb.wav,0,1,cat\n")
    command = ["prepare", "table", "--root", str(root), "--out", str(root.parent / "out")]
    assert main([*command, "--table", str(calls)]) == 2
    assert main([*command, "--table", str(calls), "--on_error", "skip"]) == 0
    assert read_manifest(root.parent / "out").frame["path"].tolist() == ["a.wav", "b.wav"]
    assert "none.wav" in (root.parent / "out" / "left_out.csv").read_text()


def test_blanks_around_values_are_said(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    calls = root.parent / "calls.csv"
    calls.write_text("path,start,end,label\na.wav,0,1,dog \nb.wav,0,1,dog\na.wav,1,2,cat\n")
    out = ["--root", str(root), "--out", str(root.parent / "out"), "--table", str(calls)]
    assert main(["prepare", "table", *out]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "label: cat 1, dog 2" in lines
    assert any(line.startswith("warning:") and "1 values" in line for line in lines)


def test_sounds_that_cannot_be_read_may_be_left_out(root: Path) -> None:
    (root / "b.wav").write_text("no sound")
    calls = root.parent / "calls.csv"
    calls.write_text("path,start,end,label\na.wav,0,1,dog\nb.wav,0,1,dog\na.wav,1,2,cat\n")
    command = ["prepare", "table", "--root", str(root), "--out", str(root.parent / "out")]
    assert main([*command, "--table", str(calls)]) == 2
    assert main([*command, "--table", str(calls), "--on-error", "skip"]) == 0
    assert read_manifest(root.parent / "out").frame["path"].tolist() == ["a.wav", "a.wav"]
