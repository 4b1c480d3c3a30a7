"""RAVDESS: what its file names say, and folds that share no actor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from audioinv.audio.corpora import ravdess
from audioinv.audio.media import Sounds
from audioinv.base.errors import UserError
from audioinv.data.manifest import Manifest
from audioinv.data.pack import build_pack
from audioinv.tasks.folds import folds


def tiny(root: Path, write_audio: Callable[..., None]) -> Path:
    """Two emotions and both statements of every actor, and songs of one."""
    names = [
        f"Actor_{actor:02d}/03-01-{emotion}-02-{statement}-01-{actor:02d}.wav"
        for actor in range(1, 25)
        for emotion in ("03", "05", "06")
        for statement in ("01", "02")
    ]
    write_audio(root, [*names, "Actor_01/03-02-03-01-01-01-01.wav"])
    return root


def test_labels_folds_and_no_songs(
    tmp_path: Path, write_audio: Callable[..., None], read_valid: Callable[[Path], Manifest]
) -> None:
    root = tiny(tmp_path / "ravdess", write_audio)
    manifest = read_valid(ravdess.prepare(root.parent, tmp_path / "out"))  # found one level down
    frame = manifest.frame.set_index("id")
    assert len(frame) == 24 * 6
    row = frame.loc["03-01-06-02-02-01-12"]
    assert row[["emotion", "intensity", "statement", "actor"]].tolist() == [
        *("fearful", "strong", "dogs", "12")
    ]
    assert row["path"] == "Actor_12/03-01-06-02-02-01-12.wav"
    actors = frame.groupby("fold")["actor"].unique()
    assert [len(group) for group in actors] == [5, 5, 5, 5, 4]
    assert sorted(actor for group in actors for actor in group) == sorted(set(frame["actor"]))
    assert frame.loc["03-01-03-02-01-01-01", "fold"] == "4"


def test_emotion_is_tested_on_actors_that_were_not_heard(
    tmp_path: Path, write_audio: Callable[..., None], read_valid: Callable[[Path], Manifest]
) -> None:
    manifest = read_valid(ravdess.prepare(tiny(tmp_path / "ravdess", write_audio), tmp_path))
    pack = build_pack(manifest, tmp_path / "pack", Sounds(8000))
    actor = pack.frame["actor"].to_numpy()
    parts = list(folds(pack, ravdess.TASKS[0], None))
    assert len(parts) == 5
    for labelled, test in parts:
        assert not set(actor[test]) & set(actor[labelled.train])
        assert not set(actor[test]) & set(actor[labelled.valid])
    assert sum(len(test) for _, test in parts) == len(pack)


def test_what_is_not_ravdess_is_refused(tmp_path: Path, write_audio: Callable[..., None]) -> None:
    with pytest.raises(UserError, match=r"https://zenodo\.org"):
        ravdess.prepare(tmp_path / "nowhere", tmp_path / "out")
    write_audio(tmp_path / "songs", ["Actor_01/03-02-03-01-01-01-01.wav"])
    with pytest.raises(UserError, match=r"speech.*Audio_Speech"):
        ravdess.prepare(tmp_path / "songs", tmp_path / "out")
    write_audio(tmp_path / "songs", ["Actor_01/notes.wav"])
    with pytest.raises(UserError, match=r"notes\.wav.*seven"):
        ravdess.prepare(tmp_path / "songs", tmp_path / "out")
