"""The helpers that the corpora share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from audioinv.audio.corpora.timed import timed
from audioinv.base.errors import UserError
from audioinv.data.lists import choice, draw_split, locate, read_lines, read_table, write_table
from audioinv.data.manifest import Corpus, Manifest


def test_a_corpus_is_found_at_the_root_or_one_folder_below(tmp_path: Path) -> None:
    (tmp_path / "ESC-50-1.0" / "meta").mkdir(parents=True)
    (tmp_path / "ESC-50-1.0" / "audio").mkdir()
    unpacked = tmp_path / "ESC-50-1.0"
    assert locate(tmp_path, ("meta", "audio"), "there") == unpacked
    assert locate(unpacked, ("m*", "audio"), "there") == unpacked
    with pytest.raises(UserError, match=r"meta.*sound"):
        locate(tmp_path, ("meta", "sound"), "there")
    (tmp_path / "copy" / "meta").mkdir(parents=True)
    with pytest.raises(UserError, match=r"ESC-50-1\.0.*copy"):
        locate(tmp_path, "meta", "there")
    with pytest.raises(UserError, match="nowhere"):
        locate(tmp_path / "nowhere", "meta", "there")


def test_tables_are_text_and_must_have_their_columns(tmp_path: Path) -> None:
    path = tmp_path / "list.tsv"
    path.write_text("name\tclass\n01\tNA\n02\t\n", encoding="utf-8-sig")
    table = read_table(path, ["name"], "\t")
    assert table.to_numpy().tolist() == [["01", "NA"], ["02", ""]]
    with pytest.raises(UserError, match=r"list\.tsv.*fold.*name, class"):
        read_table(path, ["fold", "name"], "\t")
    with pytest.raises(UserError, match=r"gone\.csv"):
        read_table(tmp_path / "gone.csv", [])


def test_lines_of_a_list(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\n\r\n two \n")
    assert read_lines(path) == ["one", "two"]
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"list\.txt"):
        read_lines(path)


def test_lengths_come_from_the_files(
    tmp_path: Path, write_audio: Callable[..., None], read_valid: Callable[[Path], Manifest]
) -> None:
    root = tmp_path / "audio"
    write_audio(root, ["a.wav"], 8000, 0.25)
    write_audio(root, ["b/c.flac"], 16000, 0.5, channels=2)
    rows = pd.DataFrame({"id": ["a", "c"], "path": ["a.wav", "b/c.flac"], "split": "train"})
    corpus = Corpus("tiny", "Tiny", "there", "CC0-1.0", "", 16000)
    manifest = read_valid(write_table(root, tmp_path / "out", timed(root, rows), corpus))
    assert manifest.frame["duration"].tolist() == [0.25, 0.5]
    assert manifest.frame["sample_rate"].tolist() == [8000, 16000]
    assert manifest.frame["split"].tolist() == ["train", "train"]
    assert manifest.corpus.root == "../audio"


def test_missing_files_are_counted_not_all_listed(
    tmp_path: Path, write_audio: Callable[..., None]
) -> None:
    write_audio(tmp_path, ["0.wav"])
    rows = pd.DataFrame({"id": range(100), "path": [f"{i}.wav" for i in range(100)]})
    with pytest.raises(UserError, match=r"99 of 100 files .*, such as 1\.wav") as caught:
        timed(tmp_path, rows)
    assert len(str(caught.value)) < 300


def test_a_choice_names_what_is_allowed() -> None:
    assert choice("version", "2", ("1", "2")) == "2"
    with pytest.raises(UserError, match=r"version.*'3'.*1, 2"):
        choice("version", "3", ("1", "2"))


def test_quotation_marks_in_a_table_of_tabs_are_text(tmp_path: Path) -> None:
    path = tmp_path / "list.tsv"
    path.write_text('path\tsentence\na\t"Yes\nb\tno\n')
    assert read_table(path, ["path"], "\t")["sentence"].tolist() == ['"Yes', "no"]


def test_a_drawn_split_is_even_over_strata_or_keeps_values_whole() -> None:
    rows = pd.DataFrame({"id": [f"{k:03d}" for k in range(100)]})
    rows = rows.assign(word=["yes", "no"] * 50, speaker=[str(k % 20) for k in range(100)])
    even = draw_split(rows, 0, strata=["word"]).groupby(["split", "word"]).size()
    assert even.to_dict() == {
        ("test", "no"): 5, ("test", "yes"): 5, ("valid", "no"): 5, ("valid", "yes"): 5,
        ("train", "no"): 40, ("train", "yes"): 40,
    }  # fmt: skip
    apart = draw_split(rows, 0, whole="speaker", test=0.2)
    assert set(apart.groupby("speaker")["split"].nunique()) == {1}
    assert apart["split"].value_counts().to_dict() == {"train": 70, "test": 20, "valid": 10}
    assert not apart["split"].equals(draw_split(rows, 1, whole="speaker", test=0.2)["split"])
