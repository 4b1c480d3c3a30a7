"""Tables as spreadsheets of many countries write them, with one label a row and with several."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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
