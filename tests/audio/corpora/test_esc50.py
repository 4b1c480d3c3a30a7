"""ESC-50 and ESC-10: the published folds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from audioinv.audio.corpora import esc50
from audioinv.base.errors import UserError
from audioinv.data.manifest import Manifest, read_manifest

Read = Callable[[Path], Manifest]
Write = Callable[..., None]
HEADER = "filename,fold,target,category,esc10,src_file,take"


def test_the_real_clips(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    root = shared_data("esc10")
    frame = read_manifest(esc50.prepare(root, tmp_path, subset="esc10")).frame
    assert frame.groupby(["fold", "category"]).size().to_dict() == {
        (str(fold), name): 8 for fold in range(1, 6) for name in set(frame["category"])
    }
    assert frame["category"].nunique() == 10 and "rooster" in set(frame["category"])
    assert frame.groupby("recording")["fold"].nunique().max() == 1
    assert set(frame["sample_rate"]) == {44100}
    assert abs(frame["duration"].median() - 5) < 0.01
    assert len(read_manifest(esc50.prepare(root, tmp_path / "all")).frame) == 400


def tiny(root: Path, write: Write, ending: str) -> Path:
    rows = [
        f"{fold}-{fold}00-A-{target}.{ending},{fold},{target},{name},{name == 'dog'},{fold}00,A"
        for fold in range(1, 6)
        for target, name in ((0, "dog"), (16, "wind"))
    ]
    write(root / "audio", [row.split(",")[0] for row in rows], 44100)
    (root / "meta").mkdir()
    (root / "meta" / "esc50.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    return root


@pytest.mark.parametrize("ending", ["wav", "ogg"])
def test_folds_and_the_part_of_ten_classes(
    tmp_path: Path, write_audio: Write, read_valid: Read, ending: str
) -> None:
    tiny(tmp_path / "audio" / "ESC-50-33c8", write_audio, ending)
    frame = read_valid(esc50.prepare(tmp_path / "audio", tmp_path / "all")).frame
    assert frame.groupby(["fold", "category"]).size().tolist() == [1] * 10
    path = esc50.prepare(tmp_path / "audio", tmp_path / "ten", subset="esc10")
    assert set(read_valid(path).frame["category"]) == {"dog"}


def test_refusals(tmp_path: Path, write_audio: Write) -> None:
    root = tiny(tmp_path, write_audio, "wav")
    with pytest.raises(UserError, match=r"subset.*'esc5'.*esc50, esc10"):
        esc50.prepare(root, tmp_path / "out", subset="esc5")
    (root / "audio" / "1-100-A-0.wav").unlink()
    with pytest.raises(UserError, match=r"1 of 10 files .* such as audio/1-100-A-0\.wav"):
        esc50.prepare(root, tmp_path / "out")
    (root / "meta" / "esc50.csv").write_text("filename,fold\n")
    with pytest.raises(UserError, match="category, esc10, src_file"):
        esc50.prepare(root, tmp_path / "out")
