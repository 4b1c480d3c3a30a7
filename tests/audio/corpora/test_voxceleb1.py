"""VoxCeleb1: the published identification split."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from audioinv.audio.corpora import voxceleb1
from audioinv.base.errors import UserError
from audioinv.data.manifest import Manifest

LINES = [
    f"{part} id1000{speaker}/video-{speaker}_{part}/0000{take}.wav"
    for speaker in (1, 2, 3)
    for part, takes in ((1, 3), (2, 1), (3, 2))
    for take in range(1, takes + 1)
]
PEOPLE = (
    "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet\n"
    "id10001\tA.J._Buckley\tm\tIreland\tdev\n"
    'id10002\tO"Nobody\tf\tUSA\tdev\n'
    "id10003\tSomebody\tm\tUSA\ttest\n"
)


def tiny(root: Path, write_audio: Callable[..., None]) -> Path:
    write_audio(root / "wav", [line.split()[1] for line in LINES])
    (root / "iden_split.txt").write_text("\n".join(LINES) + "\n")
    (root / "vox1_meta.csv").write_text(PEOPLE)
    return root


def test_the_split_is_the_published_one(
    tmp_path: Path, write_audio: Callable[..., None], read_valid: Callable[[Path], Manifest]
) -> None:
    frame = read_valid(voxceleb1.prepare(tiny(tmp_path / "vox1", write_audio), tmp_path)).frame
    assert frame["split"].value_counts().to_dict() == {"train": 9, "test": 6, "valid": 3}
    row = frame.set_index("id").loc["id10002/video-2_3/00002"]
    assert row["path"] == "wav/id10002/video-2_3/00002.wav"
    assert row[["split", "speaker", "video", "gender"]].tolist() == [
        *("test", "id10002", "video-2_3", "female")
    ]
    assert set(frame.groupby("video")["split"].nunique()) == {1}


def test_lists_and_files_have_to_be_whole(tmp_path: Path, write_audio: Callable[..., None]) -> None:
    with pytest.raises(UserError, match=r"wav.*iden_split\.txt.*form"):
        voxceleb1.prepare(tmp_path / "nowhere", tmp_path / "out")
    root = tiny(tmp_path / "vox1", write_audio)
    (root / "wav" / LINES[0].split()[1]).unlink()
    with pytest.raises(UserError, match=r"1 of 18 files .*id10001/video-1_1/00001\.wav"):
        voxceleb1.prepare(root, tmp_path / "out")
    (root / "vox1_meta.csv").write_text(PEOPLE.replace("\tf\t", "\t\t"))
    with pytest.raises(UserError, match=r"gender.*1.*id10002"):
        voxceleb1.prepare(root, tmp_path / "out")
    (root / "iden_split.txt").write_text("4 id10001/video/00001.wav\n")
    with pytest.raises(UserError, match="'4 id10001"):
        voxceleb1.prepare(root, tmp_path / "out")
