"""Annotated recordings: tables as Raven, Audacity and people write them, and their mistakes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from audioinv.audio.corpora import table
from audioinv.base.errors import UserError
from audioinv.cli import main
from audioinv.data.manifest import Manifest, read_manifest

WriteAudio = Callable[..., None]
ReadValid = Callable[[Path], Manifest]
RAVEN = (
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\t{}\n"
)


@pytest.fixture
def sounds(tmp_path: Path, write_audio: WriteAudio) -> Path:
    """a.wav, north/b.flac and south/b.flac of 2 s."""
    root = tmp_path / "sounds"
    write_audio(root, ["a.wav", "north/b.flac", "south/b.flac"], duration_s=2.0)
    return root


def clips(manifest: Manifest) -> list[tuple[Any, ...]]:
    """path, start, end and label of every row."""
    frame = manifest.frame.assign(end=(manifest.frame.start + manifest.frame.duration).round(6))
    return list(frame[["path", "start", "end", "label"]].itertuples(index=False, name=None))


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_csv_with_ends_and_further_columns(
    sounds: Path, tmp_path: Path, read_valid: ReadValid
) -> None:
    given = write(
        tmp_path / "calls.csv",
        "path,start,end,label,observer",
        "a.wav,0.25,1,wren,mia",
        "",
        'north/b.flac,1.5,2.005,"tit, great",\u00fcla',
    )
    manifest = read_valid(table.prepare(sounds, tmp_path / "out", table=given))
    assert clips(manifest) == [("a.wav", 0.25, 1, "wren"), ("north/b.flac", 1.5, 2, "tit, great")]
    assert manifest.frame["observer"].tolist() == ["mia", "\u00fcla"]
    assert manifest.frame["id"].tolist() == ["a.wav:0", "north/b.flac:0"]
    assert manifest.frame["sample_rate"].tolist() == [8000, 8000]
    assert [task.label for task in manifest.corpus.tasks] == ["label"]


def test_durations_stand_for_ends_and_a_file_for_both(
    sounds: Path, tmp_path: Path, read_valid: ReadValid
) -> None:
    with_durations = write(
        tmp_path / "a.csv", "path,start,duration,what", "a.wav,0.5,0.25,x", "a.wav,1,1,y"
    )
    manifest = read_valid(
        table.prepare(sounds, tmp_path / "one", table=with_durations, label="what")
    )
    assert clips(manifest) == [("a.wav", 0.5, 0.75, "x"), ("a.wav", 1, 2, "y")]
    whole = write(tmp_path / "b.csv", "path,split", "a.wav,train", "south/b.flac,test")
    frame = read_valid(table.prepare(sounds, tmp_path / "two", table=whole)).frame
    assert frame["duration"].tolist() == [2, 2] and frame["split"].tolist() == ["train", "test"]
    assert "label" not in frame


def test_a_raven_table_beside_its_sound(
    sounds: Path, tmp_path: Path, read_valid: ReadValid
) -> None:
    """Every selection stands in it once for each view."""
    rows = [
        "1\tWaveform 1\t1\t0.1\t0.4\t0\t4000\twren\n",
        "1\tSpectrogram 1\t1\t0.1\t0.4\t0\t4000\twren\n",
        '2\tSpectrogram 1\t1\t0.3\t0.9\t200\t3000\ttit "blue"\n',
    ]
    write(sounds / "a.Table.1.selections.txt", (RAVEN.format("Annotation") + "".join(rows)).strip())
    manifest = read_valid(table.prepare(sounds, tmp_path / "out"))
    assert clips(manifest) == [("a.wav", 0.1, 0.4, "wren"), ("a.wav", 0.3, 0.9, 'tit "blue"')]
    assert manifest.frame["split"].tolist() == ["train"] * 2


def test_a_raven_table_of_several_sounds(
    sounds: Path, tmp_path: Path, read_valid: ReadValid
) -> None:
    """Its times count from the start of the first; offsets say where in a file a selection is."""
    header = RAVEN.format("Begin Path\tBegin File\tFile Offset (s)\tSp")
    rows = [
        "1\tSpectrogram 1\t1\t0.5\t1\t0\t4000\tD:\\field\\north\\b.flac\tb.flac\t0.5\twren\n",
        f"2\tSpectrogram 1\t1\t2.25\t3\t0\t4000\t{sounds}/south/b.flac\tb.flac\t0.25\ttit\n",
    ]
    given = write(sounds / "all.txt", (header + "".join(rows)).strip())
    with pytest.raises(UserError, match=r"no column Annotation; give --label .*Sp"):
        table.prepare(sounds, tmp_path / "out", table=given)
    manifest = read_valid(table.prepare(sounds, tmp_path / "out", table=given, label="Sp"))
    assert clips(manifest) == [
        ("north/b.flac", 0.5, 1, "wren"),
        ("south/b.flac", 0.25, 1, "tit"),
    ]
    assert manifest.frame["fold"].tolist() == ["north/b.flac", "south/b.flac"]


def test_several_sounds_without_offsets_are_refused(sounds: Path, tmp_path: Path) -> None:
    header = RAVEN.format("Begin File\tSpecies")
    rows = "1\tS\t1\t0\t1\t0\t9\ta.wav\tx\n2\tS\t1\t2\t3\t0\t9\tb.flac\ty"
    given = write(tmp_path / "all.txt", header + rows)
    with pytest.raises(UserError, match=r"several sounds.* add .*File Offset \(s\)"):
        table.prepare(sounds, tmp_path / "out", table=given)


def test_audacity_tracks_beside_their_sounds(
    sounds: Path, tmp_path: Path, read_valid: ReadValid
) -> None:
    """A spectral label has a second line, its frequencies; of two b.flac each has its own."""
    write(sounds / "a.txt", "0.500000\t1.000000\twren", "\\\t1000.0\t2000.0", "1.0\t1.5\ttit")
    write(sounds / "north" / "b.txt", "0\t2\twren")
    write(sounds / "south" / "b.flac.txt", "0\t0.5\ttit")
    manifest = read_valid(table.prepare(sounds, tmp_path / "out"))
    assert clips(manifest) == [
        ("a.wav", 0.5, 1, "wren"), ("a.wav", 1, 1.5, "tit"),
        ("north/b.flac", 0, 2, "wren"), ("south/b.flac", 0, 0.5, "tit"),
    ]  # fmt: skip


def test_a_recording_is_never_on_two_sides(
    tmp_path: Path, write_audio: WriteAudio, read_valid: ReadValid
) -> None:
    root, names = tmp_path / "sounds", [f"{k}.wav" for k in range(20)]
    write_audio(root, names)
    rows = [f"{name},0.0{k},0.1,{'xy'[k % 2]}" for name in names for k in range(4)]
    given = write(tmp_path / "t.csv", "path,start,end,label", *rows)
    frame = read_valid(table.prepare(root, tmp_path / "out", table=given)).frame
    assert (frame.groupby("path")["split"].nunique() == 1).all()
    assert frame["split"].value_counts().to_dict() == {"train": 64, "valid": 8, "test": 8}
    other = read_manifest(table.prepare(root, tmp_path / "other", seed=1, table=given)).frame
    assert frame["split"].tolist() != other["split"].tolist()


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("a.wav,1,1,x", r"starts at 1 s and ends at 1 s; .*behind the start, or remove"),
        ("a.wav,1,0.5,x", r"ends at 0\.5 s; give an end behind"),
        ("a.wav,1,2.5,x", r"ends at 2\.5 s; give times within the 2 s"),
        ("a.wav,2,3,x", r"within the 2 s"),
        ('a.wav,"0,5",1,x', r"start is '0,5'; give seconds.* 1\.5"),
        ("a.wav,0,one,x", r"end is 'one'"),
        ("a.wav,-1,1,x", r"start is '-1'; give seconds, 0 or more"),
        ("a.wav,nan,1,x", r"start is 'nan'"),
        ("a.wav,0,inf,x", r"end is 'inf'"),
        ("a.wav,0,,x", r"end is ''"),
        ("c.wav,0,1,x", r"no c\.wav under .*; give its folder as --root"),
        ("b.flac,0,1,x", r"b\.flac may be north/b\.flac and south/b\.flac; give the path"),
        ("../a.wav.gz,0,1,x", r"no \.\./a"),
        ("a.wav,0,1,x,y", r"5 values, but 4 columns"),
    ],
)
def test_bad_rows_are_told_with_file_and_line(
    sounds: Path, tmp_path: Path, row: str, told: str
) -> None:
    given = write(tmp_path / "t.csv", "path,start,end,label", "a.wav,0,1,x", "", row)
    with pytest.raises(UserError, match=rf"t\.csv:4: .*{told}"):
        table.prepare(sounds, tmp_path / "out", table=given)
    assert not (tmp_path / "out").exists()


def test_all_bad_rows_are_told_at_once(sounds: Path, tmp_path: Path) -> None:
    write(sounds / "a.txt", *["1\t0\tx"] * 25, "0\t1\tx")
    with pytest.raises(UserError, match=r"25 of 26 rows .*a\.txt:1: .*a\.txt:20: .*and 5 more"):
        table.prepare(sounds, tmp_path / "out")


@pytest.mark.parametrize(
    ("lines", "options", "told"),
    [
        (["name,from,to"], {}, r"'name,from,to'.*path,start,end,label.*--format"),
        (["path,end,duration"], {}, r"end and duration; give one"),
        (["path,start,end"], {"label": "bird"}, r"no column bird; give --label one of path"),
        (["path,start,end"], {"format": "raven"}, r"no column Begin Time"),
        (["path,start,end"], {}, r"has no rows"),
        ([""], {}, r"empty"),
        (["path"], {"format": "ravn"}, r"format is 'ravn'; give auto, csv, raven, audacity"),
    ],
)
def test_tables_that_cannot_be_read_say_why(
    sounds: Path, tmp_path: Path, lines: Sequence[str], options: dict[str, str], told: str
) -> None:
    given = write(tmp_path / "t.csv", *lines)
    with pytest.raises(UserError, match=told):
        table.prepare(sounds, tmp_path / "out", table=given, **options)


def test_no_table_and_no_folder_are_errors(sounds: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no \.txt files under .*--table"):
        table.prepare(sounds, tmp_path / "out")
    with pytest.raises(UserError, match=r"cannot read .*t\.csv"):
        table.prepare(sounds, tmp_path / "out", table=tmp_path / "t.csv")
    with pytest.raises(UserError, match=r"nowhere is not a folder"):
        table.prepare(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "l.csv").write_bytes("path,label\na.wav,\u00fc".encode("latin-1"))
    with pytest.raises(UserError, match="not UTF-8"):
        table.prepare(sounds, tmp_path / "out", table=tmp_path / "l.csv")


def test_the_command_prepares_and_validates(sounds: Path, tmp_path: Path) -> None:
    given = write(tmp_path / "t.csv", "path,start,end,bird", "a.wav,0,1,x", "a.wav,1,2,y")
    out = ["--root", str(sounds), "--out", str(tmp_path / "out")]
    assert main(["prepare", "table", *out, "--table", str(given), "--label", "bird"]) == 0
    assert main(["validate", str(tmp_path / "out" / "manifest.csv")]) == 0


def test_columns_become_tasks_and_groups_are_held_out(
    sounds: Path, tmp_path: Path, read_valid: ReadValid
) -> None:
    given = write(
        tmp_path / "calls.csv",
        "path,start,end,species,distance,tags,site",
        "a.wav,0,1,wren,3.5,loud| near ,x",
        "a.wav,1,2,tit,,near,y",
        "north/b.flac,0,1,wren,20,,x",
    )
    words = ["prepare", "table", "--root", str(sounds), "--table", str(given)]
    words += ["--out", str(tmp_path / "out"), "--groups", "site", "--task", "species"]
    assert main([*words, "--task", "distance:regression", "--task", "tags:multilabel:|"]) == 0

    manifest = read_valid(tmp_path / "out")
    assert [(t.name, t.label, t.kind, t.groups) for t in manifest.corpus.tasks] == [
        ("species", "species", "classification", None),
        ("distance", "distance", "regression", None),
        ("tags", "tags", "multilabel", None),
        ("species_unseen_site", "species", "classification", "site"),
        ("distance_unseen_site", "distance", "regression", "site"),
        ("tags_unseen_site", "tags", "multilabel", "site"),
    ]
    assert manifest.frame["tags"].tolist() == ["loud;near", "near", ""]
    assert manifest.frame["distance"].isna().tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("task", "groups", "remedy"),
    [
        ("specie", "", "did you mean species"),
        ("species:regresion", "", "did you mean regression"),
        ("species:classification:|", "", "leave ':|' out"),
        ("species:regression", "", "'wren' is no number"),
        ("species", "sites", "did you mean site"),
    ],
)
def test_a_task_that_cannot_be_is_refused(
    sounds: Path, tmp_path: Path, task: str, groups: str, remedy: str
) -> None:
    given = write(tmp_path / "calls.csv", "path,start,end,species,site", "a.wav,0,1,wren,x")
    with pytest.raises(UserError, match=remedy.replace("|", r"\|")):
        table.prepare(sounds, tmp_path / "out", table=given, task=[task], groups=groups)
    with pytest.raises(UserError, match="given twice"):
        table.prepare(sounds, tmp_path / "out", table=given, task=["species", "species"])
    assert not (tmp_path / "out").exists()
