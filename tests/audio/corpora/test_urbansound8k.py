"""UrbanSound8K: the published folds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from audioinv.audio.corpora import urbansound8k
from audioinv.base.errors import UserError
from audioinv.data.manifest import Manifest

Write = Callable[..., None]


def tiny(root: Path, write: Write) -> Path:
    rows = []
    for fold in range(1, 11):
        for number, name, salience in ((3, "dog_bark", 1), (8, "siren", 2)):
            file = f"{fold}00-{number}-0-0.wav"
            rows.append(f"{file},{fold}00,0.0,0.1,{salience},{fold},{number},{name}")
            rate = 96000 if fold == 1 else 44100
            write(root / "audio" / f"fold{fold}", [file], rate, channels=2)
    header = "slice_file_name,fsID,start,end,salience,fold,classID,class"
    (root / "metadata").mkdir()
    (root / "metadata" / "UrbanSound8K.csv").write_text("\n".join([header, *rows]) + "\n")
    return root


def test_folds_labels_and_rates(
    tmp_path: Path, write_audio: Write, read_valid: Callable[[Path], Manifest]
) -> None:
    tiny(tmp_path / "audio" / "UrbanSound8K", write_audio)
    manifest = read_valid(urbansound8k.prepare(tmp_path / "audio", tmp_path / "out"))
    frame = manifest.frame.set_index("id")
    assert sorted(frame["fold"].astype(int)) == [fold for fold in range(1, 11) for _ in "ab"]
    row = frame.loc["1000-8-0-0"]
    assert (row["class"], row["salience"], row["recording"]) == ("siren", "background", "1000")
    assert row["path"] == "audio/fold10/1000-8-0-0.wav"
    assert row["start"] == 0  # of the excerpt, not of where it was cut from
    assert set(frame["sample_rate"]) == {44100, 96000}


def test_a_missing_excerpt_is_named(tmp_path: Path, write_audio: Write) -> None:
    root = tiny(tmp_path, write_audio)
    (root / "audio/fold3/300-3-0-0.wav").unlink()
    with pytest.raises(UserError, match=r"such as audio/fold3/300-3-0-0\.wav"):
        urbansound8k.prepare(root, tmp_path / "out")
