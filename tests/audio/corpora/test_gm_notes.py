"""The General MIDI notes: the published layout, and the same rendered from a SoundFont."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from audioinv.audio.corpora import gm_notes
from audioinv.audio.io import read
from audioinv.audio.media import Sounds
from audioinv.base.errors import UserError
from audioinv.cli import main
from audioinv.data.manifest import Manifest, read_manifest
from audioinv.data.pack import build_pack
from audioinv.tasks.folds import find_tasks, folds
from tests.audio.pretend_fluidsynth import Pretend

Write = Callable[..., None]
Read = Callable[[Path], Manifest]


def published(root: Path, write: Write) -> Path:
    """Every program of the corpus, at three pitches and two velocities."""
    lines = [",".join(gm_notes.COLUMNS)]
    for program in gm_notes.PROGRAMS:
        for note, split in ((40, "train"), (41, "valid"), (52, "test")):
            for velocity in (64, 110):
                row = gm_notes._row(program, note, velocity)
                lines.append(",".join(str(value) for value in (*row.values(), split)))
    write(root, [f"audio/{line.split(',')[0]}" for line in lines[1:]], 16000, 0.02)
    (root / "notes.csv").write_text("\n".join(lines) + "\n")
    return root


def test_the_published_layout(tmp_path: Path, write_audio: Write, read_valid: Read) -> None:
    root = published(tmp_path / "notes", write_audio)
    manifest = read_valid(gm_notes.prepare(root, tmp_path / "out"))
    assert manifest.frame["split"].value_counts().to_dict() == {
        "train": 96,
        "valid": 96,
        "test": 96,
    }
    row = manifest.frame.set_index("id").loc["bass-p032-n041-v110"]
    assert row[["family", "program", "note", "pitch_class", "velocity", "split"]].tolist() == [
        *("bass", "032", "41", "5", "110", "valid")
    ]
    assert "FluidR3" in manifest.corpus.source and "MIT" in manifest.corpus.licence


def test_tasks_and_their_folds(tmp_path: Path, write_audio: Write) -> None:
    root = published(tmp_path / "notes", write_audio)
    manifest = read_manifest(gm_notes.prepare(root, tmp_path / "out"))
    pack = build_pack(manifest, tmp_path / "pack", Sounds(8000))
    labels = {
        task.name: (task.kind, len(set(pack.frame[task.label]))) for task in pack.corpus.tasks
    }
    assert labels == {
        "program": ("classification", 48),
        "pitch_class": ("classification", 2),
        "velocity": ("classification", 2),
        "family_unseen_program": ("classification", 12),
        "pitch_class_unseen_program": ("classification", 2),
    }
    program, family = (pack.frame[name].to_numpy() for name in ("program", "family"))
    for task in find_tasks(pack, ["family_unseen_program", "pitch_class_unseen_program"]):
        parts = list(folds(pack, task, None))
        for labelled, test in parts:
            heard = set(program[labelled.train]) | set(program[labelled.valid])
            assert not heard & set(program[test])
            assert set(family[labelled.train]) == set(gm_notes.FAMILIES), "a family to train on"
        assert sorted(row for _, test in parts for row in test.tolist()) == list(range(len(pack)))


@pytest.mark.slow
def test_the_real_notes(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    root = shared_data("gm_notes")
    frame = read_manifest(gm_notes.prepare(root, tmp_path)).frame
    assert frame["split"].value_counts().to_dict() == {"train": 2394, "valid": 594, "test": 1026}
    assert frame.groupby(["program", "note"])["split"].nunique().max() == 1
    note = frame["note"].astype(int)
    assert (frame["pitch_class"].astype(int) == note % 12).all()
    assert set(note) == set(gm_notes.NOTES)
    assert sorted(set(frame["program"].astype(int))) == list(gm_notes.PROGRAMS)
    families = [gm_notes.FAMILIES[int(program) // 8] for program in frame["program"]]
    assert frame["family"].tolist() == families


@pytest.fixture
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pretend:
    """Two programs at six pitches."""
    monkeypatch.setattr(gm_notes, "PROGRAMS", range(0, 4, 2))
    monkeypatch.setattr(gm_notes, "NOTES", range(60, 66))
    return Pretend(tmp_path, monkeypatch)


def test_the_layout_is_rendered_from_a_soundfont(
    few: Pretend, tmp_path: Path, read_valid: Read
) -> None:
    root, out = tmp_path / "notes", tmp_path / "out"
    options = ["--root", str(root), "--out", str(out), "--soundfont", str(few.soundfont)]
    assert main(["prepare", "gm_notes", *options]) == 0
    manifest = read_valid(out)
    frame = manifest.frame
    assert len(few.calls()) == 2 * 6 * 2
    assert set(frame["program"]) == {"000"}, "what cannot be heard is left out"
    assert frame["split"].value_counts().to_dict() == {"train": 8, "valid": 2, "test": 2}
    assert frame.groupby(["program", "note"])["split"].nunique().max() == 1
    assert manifest.corpus.licence == "that of the SoundFont tiny.sf2"
    for _, row in frame.iterrows():
        samples, rate = read(manifest.path(row))
        assert (samples.shape, rate) == ((16000, 1), 16000)
        hz = np.abs(np.fft.rfft(samples[:, 0])).argmax()
        assert hz == round(440 * 2 ** ((int(row["note"]) - 69) / 12))
        level = (64 * int(row["velocity"]) + int(row["program"])) / 32768
        assert np.abs(samples).max() == pytest.approx(level, rel=0.01)


def test_a_stopped_rendering_goes_on(few: Pretend, tmp_path: Path) -> None:
    root, out = tmp_path / "notes", tmp_path / "out"
    first = gm_notes.prepare(root, out, soundfont=few.soundfont).read_bytes()
    (root / "notes.csv").unlink()
    lost = root / "audio" / "piano-p000-n061-v064.wav"
    content = lost.read_bytes()
    lost.unlink()
    assert gm_notes.prepare(root, out, soundfont=few.soundfont).read_bytes() == first
    assert len(few.calls()) == 2 * 6 * 2 + 1
    assert lost.read_bytes() == content
    assert gm_notes.prepare(root, out).read_bytes() == first, "the layout stands by itself"


def test_other_notes_are_never_taken_for_it(
    few: Pretend, tmp_path: Path, write_audio: Write
) -> None:
    root, out = tmp_path / "notes", tmp_path / "out"
    gm_notes.prepare(root, out, soundfont=few.soundfont)
    with pytest.raises(UserError, match=r"another SoundFont or seed.*--root"):
        gm_notes.prepare(root, out, seed=1, soundfont=few.soundfont)
    with open(few.soundfont, "ab") as file:
        file.write(b"more")
    with pytest.raises(UserError, match=r"another SoundFont or seed.*--root"):
        gm_notes.prepare(root, out, soundfont=few.soundfont)
    theirs = published(tmp_path / "theirs", write_audio)
    with pytest.raises(UserError, match=r"notes\.csv and audio, not rendered here.*--soundfont"):
        gm_notes.prepare(theirs, out, soundfont=few.soundfont)
    (theirs / "settings.json").write_text(json.dumps({"mine": 1}))
    with pytest.raises(UserError, match="soundfont"):
        gm_notes.prepare(theirs, out)


def test_what_cannot_be_rendered_leaves_no_list(
    few: Pretend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "notes"
    with pytest.raises(UserError, match=r"none\.sf2"):
        gm_notes.prepare(root, tmp_path / "out", soundfont=tmp_path / "none.sf2")
    monkeypatch.setenv("PRETEND_SILENT", "1")
    with pytest.raises(UserError, match="silent; give a General MIDI SoundFont"):
        gm_notes.prepare(root, tmp_path / "out", soundfont=few.soundfont)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="install"):
        gm_notes.prepare(tmp_path / "new", tmp_path / "out", soundfont=few.soundfont)
    assert not (root / "notes.csv").exists() and not (tmp_path / "new").exists()


def test_a_list_without_its_columns_is_refused(tmp_path: Path, write_audio: Write) -> None:
    root = published(tmp_path / "notes", write_audio)
    (root / "notes.csv").write_text("file,program\na.ogg,0\n")
    with pytest.raises(UserError, match=r"notes\.csv.*pitch_class"):
        gm_notes.prepare(root, tmp_path / "out")
