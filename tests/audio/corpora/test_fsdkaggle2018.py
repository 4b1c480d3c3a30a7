"""FSDKaggle2018: the published test clips, validation drawn from training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from audioinv.audio.corpora import fsdkaggle2018
from audioinv.base.errors import UserError
from audioinv.data.manifest import Manifest

Write = Callable[..., None]


def tiny(root: Path, write: Write) -> Path:
    labels = ["Hi-hat", "Cello"]
    train = [f"{number:08x}.wav" for number in range(40)]
    test = [f"{number:08x}.wav" for number in range(40, 44)]
    write(root / "FSDKaggle2018.audio_train", train, 44100)
    write(root / "FSDKaggle2018.audio_test", test, 44100)
    lines = [f"{name},{labels[i % 2]},{i % 3 % 2},{i},CC0" for i, name in enumerate(train)]
    header = "fname,label,manually_verified,freesound_id,license"
    (root / "FSDKaggle2018.meta").mkdir()
    (root / fsdkaggle2018.LISTS["train"]).write_text("\n".join([header, *lines]) + "\n")
    lines = [f"{name},{labels[i % 2]},Public,{i},CC0" for i, name in enumerate(test)]
    header = "fname,label,usage,freesound_id,license"
    (root / fsdkaggle2018.LISTS["test"]).write_text("\n".join([header, *lines]) + "\n")
    return root


def test_split_and_labels(
    tmp_path: Path, write_audio: Write, read_valid: Callable[[Path], Manifest]
) -> None:
    root = tiny(tmp_path / "fsd", write_audio)
    frame = read_valid(fsdkaggle2018.prepare(root, tmp_path / "out")).frame
    assert frame["split"].value_counts().to_dict() == {"train": 36, "valid": 4, "test": 4}
    assert frame[frame["split"] == "valid"]["label"].value_counts().to_dict() == {
        "Hi-hat": 2,
        "Cello": 2,
    }
    test = frame[frame["split"] == "test"]
    assert test["path"].str.startswith("FSDKaggle2018.audio_test/").all()
    assert set(test["verified"]) == {"1"}
    assert frame.loc[1, "verified"] == "1" and frame.loc[2, "verified"] == "0"


def test_a_list_of_another_form_is_refused(tmp_path: Path, write_audio: Write) -> None:
    root = tiny(tmp_path, write_audio)
    (root / fsdkaggle2018.LISTS["test"]).write_text("fname,usage\n")
    with pytest.raises(UserError, match=r"scoring_clips\.csv.*label"):
        fsdkaggle2018.prepare(root, tmp_path / "out")
