"""Folders as people really have them: nothing is left out, or taken for another, without a word."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audioinv.cli import main
from audioinv.data.manifest import read_manifest
from audioinv.data.walk import find_files

NOISE = np.random.default_rng(0)
# what libsndfile writes -> endings by which people know it
KNOWN = {
    "WAV": ("wave", "bwf", "BWF", "amb"),
    "AU": ("snd", "au"),
    "AIFF": ("aifc", "aif", "AIFF"),
    "NIST": ("sph", "nist"),
    "CAF": ("caf",),
    "W64": ("w64",),
}

Prepare = Callable[..., list[str]]


def sound(path: Path, kind: str = "WAV", seconds: float = 0.1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.1 * NOISE.standard_normal(round(seconds * 16000))
    soundfile.write(path, samples, 16000, format=kind, subtype="PCM_16")
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Ten dogs and ten cats."""
    for label in ("cat", "dog"):
        for k in range(10):
            sound(tmp_path / "sounds" / label / f"{k}.wav")
    return tmp_path / "sounds"


@pytest.fixture
def prepare(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Prepare:
    """Runs `audioinv prepare folder`; its lines, or those of the error."""

    def run(root: Path, *options: str, status: int = 0) -> list[str]:
        out = ["--root", str(root), "--out", str(tmp_path / "out")]
        assert main(["prepare", "folder", *out, *options]) == status
        said = capsys.readouterr()
        return (said.err if status else said.out).splitlines()

    return run


def frame(tmp_path: Path):  # type: ignore[no-untyped-def]
    return read_manifest(tmp_path / "out").frame


def test_it_ends_with_what_is_in_the_manifest_and_what_is_not(
    root: Path, prepare: Prepare, tmp_path: Path
) -> None:
    (root / "bird").mkdir()
    for name in ("bird/a.m4a", "bird/b.M4A", "dog/c.webm", "readme.txt"):
        (root / name).write_bytes(b"\0\0\0 ftyp")
    sound(root / "dog" / "d.dat")
    sound(root / ".hidden" / "e.wav")
    sound(root / "dog" / "._0.wav")
    lines = prepare(root)
    assert lines[0] == "20 clips, 0.0005556 hours"
    assert "label: cat 10, dog 10" in lines
    assert "split: test 2, train 16, valid 2" in lines
    assert lines[-1] == str(tmp_path / "out" / "manifest.csv")
    told = "\n".join(lines)
    assert "left out: 5 files" in told
    assert ".m4a: 2, such as bird/a.m4a: audio that nothing here reads" in told
    assert ".webm: 1" in told and ".txt: 1" in told
    assert ".dat: 1, such as dog/d.dat: audio by its content" in told
    assert "no clip is left of bird" in told
    assert "hidden" not in told and "._" not in told
    with open(tmp_path / "out" / "left_out.csv", encoding="utf-8") as file:
        assert {row["path"] for row in csv.DictReader(file)} == {
            "bird/a.m4a", "bird/b.M4A", "dog/c.webm", "readme.txt", "dog/d.dat",
        }  # fmt: skip


def test_strict_leaves_nothing_out(root: Path, prepare: Prepare, tmp_path: Path) -> None:
    prepare(root, "--strict")
    (tmp_path / "out" / "manifest.csv").unlink()
    (root / "dog" / "x.wma").write_bytes(b"x")
    (line,) = (text for text in prepare(root, "--strict", status=2) if "strict" in text)
    assert "dog/x.wma" in line
    assert not (tmp_path / "out" / "manifest.csv").exists()


@pytest.mark.parametrize(
    ("kind", "ending"), [(kind, ending) for kind, names in KNOWN.items() for ending in names]
)
def test_every_ending_that_can_be_read_is(
    tmp_path: Path, prepare: Prepare, kind: str, ending: str
) -> None:
    sound(tmp_path / "sounds" / f"x.{ending}", kind)
    prepare(tmp_path / "sounds", "--strict")
    assert frame(tmp_path)["path"].tolist() == [f"x.{ending}"]


@pytest.mark.parametrize(
    "names",
    [
        ("Train", "Test"), ("TRAIN", "VAL", "TEST"), ("training", "testing"),
        ("train", "validation", "test"), ("Training Set", "dev_set", "test-set"), ("trn", "tst"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("below", [False, True])
def test_split_folders_by_any_name(
    tmp_path: Path, prepare: Prepare, names: tuple[str, ...], below: bool
) -> None:
    for name in names:
        for label in ("cat", "dog"):
            for k in range(10):
                where = f"{label}/{name}" if below else f"{name}/{label}"
                sound(tmp_path / "sounds" / where / f"{k}.wav")
    prepare(tmp_path / "sounds")
    rows = frame(tmp_path)
    assert set(rows["label"]) == {"cat", "dog"}
    assert rows["split"].value_counts()["test"] == 20
    tests = rows[rows["split"] == "test"]["path"]
    assert all(names[-1] in path for path in tests)


def test_a_root_one_level_too_high_is_said(tmp_path: Path, root: Path, prepare: Prepare) -> None:
    (line,) = (text for text in prepare(root.parent) if "one label" in text)
    assert line.startswith("warning:") and f"--root {root}" in line


def test_blanks_around_a_folders_name_are_no_label(root: Path, prepare: Prepare) -> None:
    sound(root / "dog " / "11.wav")
    lines = prepare(root)
    assert "label: cat 10, dog 11" in lines
    assert any("blanks" in line and "'dog '" in line for line in lines)


def test_links_are_followed_or_named(root: Path, prepare: Prepare, tmp_path: Path) -> None:
    wolf = sound(tmp_path / "disk" / "wolf" / "a.wav").parent
    (root / "wolf").symlink_to(wolf)
    (root / "dog" / "again").symlink_to(root)  # a circle
    line = prepare(root, status=2)[-1]
    assert "wolf/a.wav" in line and f"--also_inside {wolf}" in line
    assert "label: cat 10, dog 10, wolf 1" in prepare(root, "--also_inside", str(wolf.parent))
    lines = prepare(root, "--on_error", "skip")
    assert "label: cat 10, dog 10" in lines and "warning: no clip is left of wolf" in "\n".join(
        lines
    )


def test_links_inside_the_root_are_followed(root: Path, prepare: Prepare) -> None:
    (root / "hound").symlink_to(root / "dog")
    assert "label: cat 10, dog 10, hound 10" in prepare(root)


def test_an_annex_is_followed_and_what_it_lacks_is_named(
    root: Path, prepare: Prepare, tmp_path: Path
) -> None:
    """As git-annex has it: a link of each file into a folder of objects, some of them not here."""
    objects = tmp_path / ".git" / "annex" / "objects"
    for k in range(3):
        sound(objects / f"{k}" / "key.wav")
        (root / "dog" / f"annexed{k}.wav").symlink_to(objects / f"{k}" / "key.wav")
    line = prepare(root, status=2)[-1]
    assert f"--also_inside {objects}" in line
    assert "label: cat 10, dog 13" in prepare(root, "--also_inside", str(objects))
    os.unlink(objects / "1" / "key.wav")
    line = prepare(root, "--also_inside", str(objects), status=2)[-1]
    assert "annexed1.wav" in line and "not there" in line and "--on_error skip" in line
    lines = prepare(root, "--also_inside", str(objects), "--on_error", "skip")
    assert "label: cat 10, dog 12" in lines


def test_files_that_cannot_be_read_may_be_left_out(
    root: Path, prepare: Prepare, tmp_path: Path
) -> None:
    (root / "dog" / "page.mp3").write_text("<!DOCTYPE html><html>404</html>" * 9)
    (root / "dog" / "phone.wav").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(99))
    (root / "dog" / "empty.wav").touch()
    line = prepare(root, status=2)[-1]
    assert "page.mp3" in line and "web page" in line
    assert "phone.wav" in line and "m4a" in line and "ffmpeg" in line
    assert "empty.wav" in line and "--on_error skip" in line
    lines = prepare(root, "--on_error", "skip")
    assert "label: cat 10, dog 10" in lines
    assert any(".wav: 2" in line and "cannot be read" in line for line in lines)
    assert "page.mp3" in (tmp_path / "out" / "left_out.csv").read_text()
    line = prepare(root, "--on_error", "skip", "--strict", status=2)[-1]
    assert "--strict" in line


def test_few_clips_and_missing_parts_are_said(tmp_path: Path, prepare: Prepare) -> None:
    for k in range(4):
        sound(tmp_path / "few" / f"{k}.wav")
        sound(tmp_path / "tested" / "test" / f"{k}.wav")
    assert any("too few clips" in line for line in prepare(tmp_path / "few"))
    assert any("no clip is for training" in line for line in prepare(tmp_path / "tested"))


def test_any_corpus_may_leave_files_out(tmp_path: Path) -> None:
    """The option is of `prepare`, and so of every corpus: this one of spoken digits."""
    for digit in range(10):
        for k in range(12):
            sound(tmp_path / "fsdd" / "recordings" / f"{digit}_jackson_{k}.wav")
    bad = tmp_path / "fsdd" / "recordings" / "3_jackson_7.wav"
    bad.write_text("no sound")
    command = ["prepare", "fsdd", "--root", str(tmp_path / "fsdd"), "--out", str(tmp_path / "out")]
    assert main(command) == 2
    assert main([*command, "--on_error", "skip"]) == 0
    assert len(frame(tmp_path)) == 119
    assert bad.name in (tmp_path / "out" / "left_out.csv").read_text()


def test_hidden_files_are_no_clips_of_any_corpus(tmp_path: Path) -> None:
    """As macOS leaves them beside the files that it copies."""
    where = tmp_path / "fsdd" / "recordings"
    for digit in range(10):
        for k in range(12):
            sound(where / f"{digit}_jackson_{k}.wav")
    (where / "._0_jackson_0.wav").write_bytes(b"x")
    command = ["prepare", "fsdd", "--root", str(where.parent), "--out", str(tmp_path / "out")]
    assert main(command) == 0
    assert len(frame(tmp_path)) == 120


def test_embedding_a_folder_says_what_it_passes_over(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (root / "dog" / "a.m4a").touch()
    assert len(find_files(root, {".wav"}, "audio")) == 20
    assert ".m4a 1" in caplog.text


def test_links_that_lead_nowhere_are_named(root: Path, prepare: Prepare) -> None:
    (root / "self").symlink_to("self")
    (root / "gone").symlink_to("nowhere")
    (root / "dog" / "x.wav").symlink_to("x.wav")
    assert "dog/x.wav is a link to" in prepare(root, status=2)[-1]
    lines = prepare(root, "--on_error", "skip")
    assert "label: cat 10, dog 10" in lines
    assert any("no ending: 2, such as gone: a link to nothing" in line for line in lines)


def test_clips_that_links_repeat_are_counted(root: Path, prepare: Prepare) -> None:
    assert not any("twice" in line for line in prepare(root))
    (root / "hound").symlink_to(root / "dog")
    (line,) = (text for text in prepare(root) if "twice" in text)
    assert "10 files" in line and "dog/0.wav and hound/0.wav" in line


def test_one_file_does_not_speak_for_all_of_its_ending(root: Path, prepare: Prepare) -> None:
    (root / "README").write_text("sounds of dogs")
    for k in range(3):
        sound(root / "dog" / f"dog{k}")
    lines = prepare(root)
    assert any("no ending: 3, such as dog/dog0: audio by its content" in line for line in lines)
    assert any("no ending: 1, such as README: no audio" in line for line in lines)


@pytest.mark.parametrize("names", [("Train 1", "Test 1"), ("train_01", "test_01")])
def test_parts_may_be_numbered(tmp_path: Path, prepare: Prepare, names: tuple[str, ...]) -> None:
    for name in names:
        for k in range(10):
            sound(tmp_path / "sounds" / name / "ab"[k % 2] / f"{k}.wav")
    assert "label: a 10, b 10" in prepare(tmp_path / "sounds")


def test_a_split_that_only_some_labels_have_is_not_passed_over(
    root: Path, prepare: Prepare
) -> None:
    for part in ("train", "test"):
        sound(root / "dog" / part / "x.wav")
    (line,) = (text for text in prepare(root) if "not taken for the split" in text)
    assert "2 folders such as dog/test" in line


@pytest.mark.parametrize(
    "names",
    [
        "dev eval", "train eval", "train test extra", "train heldout", "train held-out",
        "fold1 fold2", "train-clean test-clean", "birds_train birds_val",
    ],
)  # fmt: skip
def test_folders_that_may_be_parts_or_labels_are_refused(
    tmp_path: Path, prepare: Prepare, names: str
) -> None:
    for name in names.split():
        sound(tmp_path / "sounds" / name / "a" / "0.wav")
    assert "name them train, valid and test" in prepare(tmp_path / "sounds", status=2)[-1]
