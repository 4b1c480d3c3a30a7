"""CREMA-D: what its file names say, and parts that share no actor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from audioinv.audio.corpora import crema_d
from audioinv.base.errors import UserError
from audioinv.data.manifest import Manifest, read_manifest


def tiny(root: Path, write_audio: Callable[..., None]) -> Path:
    """Ten actors, two emotions of two sentences, and the file without sound."""
    names = [
        f"AudioWAV/{actor}_{sentence}_{emotion}.wav"
        for actor in range(1070, 1080)
        for sentence in ("DFA", "IEO")
        for emotion in ("ANG_XX", "SAD_HI")
    ]
    write_audio(root, names)
    (root / "AudioWAV" / "1076_MTI_SAD_XX.wav").touch()
    return root


def test_labels_and_parts_without_a_common_actor(
    tmp_path: Path, write_audio: Callable[..., None], read_valid: Callable[[Path], Manifest]
) -> None:
    root = tiny(tmp_path / "CREMA-D", write_audio)
    frame = read_valid(crema_d.prepare(root, tmp_path / "out")).frame.set_index("id")
    assert len(frame) == 40  # the silent one is left out
    row = frame.loc["1070_IEO_SAD_HI"]
    assert row[["emotion", "level", "sentence", "actor"]].tolist() == ["sad", "high", "IEO", "1070"]
    assert frame.loc["1070_IEO_ANG_XX", "level"] == "unspecified"
    assert set(frame.groupby("actor")["split"].nunique()) == {1}
    assert frame["split"].value_counts().to_dict() == {"train": 28, "test": 8, "valid": 4}


def test_the_seed_draws_the_actors(tmp_path: Path, write_audio: Callable[..., None]) -> None:
    root = tiny(tmp_path / "CREMA-D", write_audio)
    paths = [crema_d.prepare(root, tmp_path / str(k), seed) for k, seed in enumerate((0, 0, 1))]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    one, two = (read_manifest(path).frame["split"] for path in paths[1:])
    assert (one != two).any()


def test_audio_that_git_has_not_fetched_says_so(
    tmp_path: Path, write_audio: Callable[..., None]
) -> None:
    with pytest.raises(UserError, match=r"git lfs clone https://github\.com/Cheyney"):
        crema_d.prepare(tmp_path, tmp_path / "out")
    root = tiny(tmp_path / "CREMA-D", write_audio)
    pointer = root / "AudioWAV" / "1071_DFA_ANG_XX.wav"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(UserError, match=r"1071_DFA_ANG_XX\.wav .*run git lfs pull"):
        crema_d.prepare(root, tmp_path / "out")
    pointer.rename(root / "AudioWAV" / "take.wav")
    with pytest.raises(UserError, match=r"take\.wav"):
        crema_d.prepare(root, tmp_path / "out")
