"""Manifests: what is written is read back, and a bad table is told all its faults at once."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audioinv.base.errors import UserError
from audioinv.data.manifest import (
    Corpus,
    Manifest,
    read_manifest,
    stratified_validation,
    table_problems,
    write_manifest,
)
from audioinv.data.task import Task

TASKS = (
    Task("kind", "kind"),
    Task("height", "height", "regression", unit="m"),
    Task("tags", "tags", "multilabel"),
    Task("shift", "shift", "regression", augmentation="time_shift"),
)


def corpus(root: str = ".", tasks: tuple[Task, ...] = TASKS) -> Corpus:
    pytest.importorskip("audioinv.audio", reason="the half of sounds was left out")
    return Corpus("tiny", "Tiny corpus", "made here", "CC0-1.0", root, 8000, tasks)


def table(n: int = 4, **columns: Any) -> pd.DataFrame:
    values: dict[str, Any] = {
        "id": [f"clip{i}" for i in range(n)],
        "path": [f"{i}.wav" for i in range(n)],
        "start": 0.0,
        "duration": 1 / 3,
        "sample_rate": 8000,
        "split": ["train", "train", "valid", "test"] * (n // 4),
        "kind": ["dog", "cat"] * (n // 2),
        "height": 0.1,
        "tags": "",
    }
    return pd.DataFrame({**values, **columns})


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_written_is_read_back(tmp_path: Path, ending: str) -> None:
    frame = table(kind=["NA", "null", "007", "1e3"], tags=["a;b", "", "é", "a"])
    path = write_manifest(tmp_path, frame, corpus(), ending)
    manifest = read_manifest(path)
    pd.testing.assert_frame_equal(manifest.frame, read_manifest(tmp_path).frame)
    assert path == tmp_path / f"manifest{ending}"
    assert manifest.corpus == corpus()
    pd.testing.assert_frame_equal(manifest.frame, frame, check_dtype=False)
    assert manifest.frame["sample_rate"].dtype == "int64"
    assert manifest.frame["height"].dtype == "float64"


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
odd_texts = texts | st.sampled_from(['a,"b"', "line\nbreak", "\r", "\r\n", " ", "NaN", "'", "日本"])


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None
)
@given(st.lists(odd_texts, min_size=4, max_size=4), st.floats(1e-9, 1e9))
def test_any_label_and_number_survive_a_csv(
    tmp_path: Path, labels: list[str], duration: float
) -> None:
    frame = table(kind=labels, tags=labels[::-1], duration=duration)
    read = read_manifest(write_manifest(tmp_path, frame, corpus())).frame
    assert read["kind"].tolist() == labels
    assert read["tags"].tolist() == labels[::-1]
    assert read["duration"].tolist() == [duration] * 4


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    path = write_manifest(tmp_path, table(), corpus())
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_manifest(path).frame["id"].tolist() == table()["id"].tolist()


def test_root_is_relative_to_the_manifest_and_can_be_overridden(tmp_path: Path) -> None:
    (tmp_path / "audio").mkdir()
    path = write_manifest(tmp_path / "data", table(), corpus("../audio"))
    assert read_manifest(path).root.samefile(tmp_path / "audio")
    assert read_manifest(path, root=tmp_path).root == tmp_path
    with pytest.raises(UserError, match=r"nowhere.*--root"):
        read_manifest(path, root=tmp_path / "nowhere")


def write_raw(folder: Path, frame: pd.DataFrame) -> Path:
    """A manifest as another tool may write it, unchecked."""
    (folder / "corpus.json").write_text(json.dumps(corpus().to_json()))
    frame.to_csv(folder / "manifest.csv", index=False)
    return folder / "manifest.csv"


def test_every_problem_is_told_in_one_go(tmp_path: Path) -> None:
    frame = table(
        id=["same", "same", "clip2", ""],
        start=["0", "-1", "0", "0"],
        duration=["1", "1", "much", "0"],
        sample_rate=["8000", "8000.5", "0", "8000"],
        split=["train", "dev", "valid", "test"],
        kind=["dog", "", "cat", "cat"],
        height=["1.5", "2", "tall", "1"],
        path=["a.wav", "../b.wav", "/etc/c.wav", "d.wav"],
    ).drop(columns="tags")
    with pytest.raises(UserError) as caught:
        read_manifest(write_raw(tmp_path, frame))
    message = str(caught.value)
    for told in (
        r"column tags",
        r"same: id .*'same'",
        r"row 3: id .*''",
        r"start .*'-1'",
        r"duration .*'much'.* more than 0",
        r"duration .*'0'",
        r"sample_rate .*'8000\.5'",
        r"sample_rate .*'0'",
        r"split .*'dev'.* train, valid, test",
        r"height .*'tall'.* number",
        r"path .*'\.\./b\.wav'",
        r"path .*'/etc/c\.wav'",
    ):
        assert re.search(told, message)
    assert "12 problem(s)" in message
    assert "\n" not in message


@pytest.mark.parametrize("column", ["id", "path", "start", "duration", "sample_rate", "split"])
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    with pytest.raises(UserError, match=f"column {column}.* is missing"):
        read_manifest(write_raw(tmp_path, table().drop(columns=column)))


def test_folds_stand_for_a_split(tmp_path: Path) -> None:
    frame = table(fold=[1, 2, 1, 2]).drop(columns="split")
    assert read_manifest(write_raw(tmp_path, frame)).frame["fold"].tolist() == ["1", "2", "1", "2"]


def test_a_folder_of_two_manifests_or_none_is_refused(tmp_path: Path) -> None:
    write_manifest(tmp_path, table(), corpus()).rename(tmp_path / "other.csv")
    with pytest.raises(UserError, match=r"manifest\.csv"):
        read_manifest(tmp_path)
    for ending in (".csv", ".parquet"):
        write_manifest(tmp_path, table(), corpus(), ending)
    with pytest.raises(UserError, match="two manifests"):
        read_manifest(tmp_path)


def test_an_empty_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no rows"):
        read_manifest(write_raw(tmp_path, table().iloc[:0]))


def test_a_bad_table_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"split.*'dev'.*train, valid, test"):
        write_manifest(tmp_path, table(split="dev"), corpus())
    assert not list(tmp_path.iterdir())


def test_files_that_are_no_manifest_are_named(tmp_path: Path) -> None:
    for where in (tmp_path, tmp_path / "manifest.csv", tmp_path / "nowhere"):
        with pytest.raises(UserError, match=r"no manifest .*the folder that prepare wrote"):
            read_manifest(where)
    (tmp_path / "manifest.csv").write_text("id\n")
    with pytest.raises(UserError, match=r"corpus\.json"):
        read_manifest(tmp_path)
    path = write_raw(tmp_path, table())
    with pytest.raises(UserError, match=r"manifest\.txt.*\.csv.*\.parquet"):
        read_manifest(path.rename(tmp_path / "manifest.txt"))
    (tmp_path / "manifest.parquet").write_text("no parquet")
    with pytest.raises(UserError, match=r"manifest\.parquet"):
        read_manifest(tmp_path / "manifest.parquet")
    with pytest.raises(UserError, match=r"manifest\.csv"):
        read_manifest(tmp_path / "manifest.csv")
    (tmp_path / "manifest.txt").rename(path)
    (tmp_path / "corpus.json").write_text('{"name": "tiny"}')
    with pytest.raises(UserError, match="'title'"):
        read_manifest(path)


def test_paths_stay_inside_the_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "inner").mkdir(parents=True)
    (tmp_path / "secret.wav").touch()
    (root / "link.wav").symlink_to(tmp_path / "secret.wav")
    (root / "inner" / "up").symlink_to(tmp_path)
    manifest = Manifest(table(), corpus(), root)
    for path in ("../secret.wav", str(tmp_path / "secret.wav"), "link.wav", "inner/up/secret.wav"):
        with pytest.raises(UserError, match="--also_inside"):
            manifest.path({"path": path})
    (root / "alias.wav").symlink_to(root / "inner" / "a.wav")
    for path in ("inner/a.wav", "alias.wav"):
        assert manifest.path({"path": path}) == root / path


def test_paths_may_lead_to_folders_that_are_named(tmp_path: Path) -> None:
    root, disk = tmp_path / "root", tmp_path / "disk"
    for folder in (root, disk, tmp_path / "other"):
        folder.mkdir()
        (folder / "a.wav").touch()
    (root / "link.wav").symlink_to(disk / "a.wav")
    (root / "bad.wav").symlink_to(tmp_path / "other" / "a.wav")
    manifest = Manifest(table(), corpus(), root, (disk,))
    for path in ("a.wav", "link.wav", "../disk/a.wav", str(disk / "a.wav")):
        assert manifest.path({"path": path}).samefile(root / path)
    for path in ("bad.wav", "../other/a.wav", "/etc/passwd", "a\0.wav"):
        with pytest.raises(UserError, match="--also_inside"):
            manifest.path({"path": path})
    frame = table(path=str(disk / "a.wav"))
    assert {problem.kind for problem in table_problems(frame, corpus())} == {"path"}
    assert table_problems(frame, corpus(), may_leave=True) == []


def big_table() -> pd.DataFrame:
    n = 200
    kinds = ["common"] * 120 + ["other"] * 65 + ["rare"] * 14 + ["single"]
    return table(n, kind=kinds, place=["here", "there"] * (n // 2), split="train")


def test_validation_is_stratified_and_deterministic() -> None:
    frame = big_table()
    marked = stratified_validation(frame, "kind", 0.1, seed=0)
    counts = marked[marked["split"] == "valid"]["kind"].value_counts()
    assert counts["common"] == 12
    assert counts["other"] in (6, 7)
    assert counts["rare"] in (1, 2)
    assert "single" not in counts  # or nothing would be left to train on
    assert (frame["split"] == "train").all()
    shuffled = stratified_validation(frame.sample(frac=1, random_state=0), "kind", 0.1, seed=0)
    pd.testing.assert_frame_equal(shuffled.sort_index(), marked)
    other = stratified_validation(frame, "kind", 0.1, seed=1)
    assert not other.equals(marked)


def test_validation_by_two_columns_leaves_the_test_set_alone() -> None:
    frame = big_table()
    frame.loc[:49, "split"] = "test"
    marked = stratified_validation(frame, ["kind", "place"], 0.2, seed=0)
    assert (marked["split"][:50] == "test").all()
    sizes = (
        marked[50:]
        .groupby(["kind", "place"])["split"]
        .agg(["size", lambda s: (s == "valid").sum()])
    )
    share = sizes.iloc[:, 1] - 0.2 * sizes.iloc[:, 0]
    assert (share.abs() < 1).all()


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1])
def test_a_senseless_fraction_is_refused(fraction: float) -> None:
    with pytest.raises(UserError, match=r"\(0, 1\)"):
        stratified_validation(big_table(), "kind", fraction, seed=0)


def test_regression_labels_of_several_values(tmp_path: Path) -> None:
    frame = table(height=["0.1;2", "-1e-3;0.25", "3;4", "5;6"])
    read = read_manifest(write_manifest(tmp_path, frame, corpus())).frame
    assert read["height"].tolist() == frame["height"].tolist()


@pytest.mark.parametrize("bad", ["1", "1;2;3", "1;", "1;x", "1;nan"])
def test_rows_with_other_numbers_of_values_are_named(tmp_path: Path, bad: str) -> None:
    frame = table(height=["1;2", "1;2", bad, "3;4"])
    with pytest.raises(UserError, match=r"1 problem.*clip2: height is '.*as many in every row"):
        write_manifest(tmp_path, frame, corpus())


def test_a_label_may_have_the_name_of_a_column_of_images(tmp_path: Path) -> None:
    read = read_manifest(write_manifest(tmp_path, table(index="first"), corpus())).frame
    assert read["index"].tolist() == ["first"] * 4


def test_descriptions_without_a_modality_are_of_audio() -> None:
    old = {k: v for k, v in corpus().to_json().items() if k != "modality"}
    assert Corpus.from_json(old) == corpus()
    with pytest.raises(UserError, match=r"video.*audio, image"):
        Corpus.from_json({**old, "modality": "video"})


def test_lists_as_labels_are_refused() -> None:
    (problem,) = table_problems(table(kind=["dog", "['dog', 'cat']", "[noise]", "cat"]), corpus())
    assert (problem.id, problem.kind) == ("clip1", "label")
    assert "a;b" in problem.message


def test_a_spreadsheet_of_another_country_is_a_manifest(tmp_path: Path) -> None:
    path = write_manifest(tmp_path, table(), corpus())
    expected = read_manifest(path).frame
    table().to_csv(path, sep=";", decimal=",", index=False, encoding="utf-8-sig")
    pd.testing.assert_frame_equal(read_manifest(path).frame, expected)


def test_the_split_of_a_task_is_looked_at() -> None:
    own = corpus(tasks=(Task("kind", "kind", split="mine"),))
    assert [p.message for p in table_problems(table(), own)] == ["column mine is missing"]
    (problem,) = table_problems(table(mine=["train", "", "test", "dev"]), own)
    assert (problem.id, problem.kind) == ("clip3", "split")
