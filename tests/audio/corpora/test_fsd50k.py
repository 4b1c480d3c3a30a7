"""FSD50K: the published split, and labels joined as tasks read them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from audioinv.audio.corpora import fsd50k
from audioinv.base.errors import UserError
from audioinv.data.manifest import Manifest

Write = Callable[..., None]


def tiny(root: Path, write: Write) -> Path:
    write(root / "FSD50K.dev_audio", ["1.wav", "2.wav", "3.wav"], 44100)
    write(root / "FSD50K.eval_audio", ["4.wav"], 44100)
    folder = root / "FSD50K.ground_truth"
    folder.mkdir()
    (folder / "dev.csv").write_text(
        'fname,labels,mids,split\n1,"Bark,Dog,Animal","/a,/b,/c",train\n2,Rain,/d,train\n'
        '3,"Rain,Wind","/d,/e",val\n'
    )
    (folder / "eval.csv").write_text("fname,labels,mids\n4,Wind,/e\n")
    return root


def test_split_and_events(
    tmp_path: Path, write_audio: Write, read_valid: Callable[[Path], Manifest]
) -> None:
    root = tiny(tmp_path / "fsd50k", write_audio)
    frame = read_valid(fsd50k.prepare(root, tmp_path / "out")).frame
    assert frame["split"].tolist() == ["train", "train", "valid", "test"]
    assert frame["events"].tolist() == ["Bark;Dog;Animal", "Rain", "Rain;Wind", "Wind"]
    assert frame["path"].tolist()[2:] == ["FSD50K.dev_audio/3.wav", "FSD50K.eval_audio/4.wav"]


def test_only_the_last_part_of_each_archive_is_unpacked() -> None:
    unpacked = [file.path for file in fsd50k.downloads() if file.unpack]
    assert unpacked == [
        "FSD50K.ground_truth.zip",
        "FSD50K.dev_audio.zip",
        "FSD50K.eval_audio.zip",
    ]
    paths = [file.path for file in fsd50k.downloads()]
    assert paths.index("FSD50K.dev_audio.z05") < paths.index("FSD50K.dev_audio.zip")


def test_an_unknown_split_is_refused(tmp_path: Path, write_audio: Write) -> None:
    root = tiny(tmp_path, write_audio)
    (root / "FSD50K.ground_truth/dev.csv").write_text("fname,labels,split\n1,Bark,dev\n")
    with pytest.raises(UserError, match=r"dev\.csv.*split.*'dev'.*train.*val"):
        fsd50k.prepare(root, tmp_path / "out")
