"""AudioSet: the clips that are there, whichever way their files are named, with readable labels."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from audioinv.audio.corpora import audioset
from audioinv.base.errors import UserError
from audioinv.data.manifest import Manifest

HEAD = """\
# Segments csv created Sun Mar  5 10:54:25 2017
# num_ytids=1, num_segs=1, num_unique_labels=2, num_positive_labels=2
# YTID, start_seconds, end_seconds, positive_labels
"""
CLASSES = """\
index,mid,display_name
0,/m/09x0r,Speech
1,/m/05zppz,"Male speech, man speaking"
2,/m/0k4j,Car
"""


def tiny(root: Path, write_audio: Callable[..., None]) -> Path:
    """Lists of twelve, two and two videos; some files have other names, one video is gone."""
    root.mkdir()
    (root / "class_labels_indices.csv").write_text(CLASSES)
    train = [f'-video_{k:04d}, 30.000, 40.000, "/m/09x0r,/m/05zppz"' for k in range(10)]
    train += ['Y_3456789ab, 0.000, 10.000, "/m/0k4j"', 'gone-_video, 0.000, 9.000, "/m/0k4j"']
    lists = {
        "balanced_train": train,
        "unbalanced_train": ['unbalanced1, 0.000, 10.000, "/m/0k4j"'],
        "eval": ['evaluation1, 0.000, 10.000, "/m/0k4j"', 'evaluation2, 1.0, 2.0, "/m/09x0r"'],
    }
    for name, lines in lists.items():
        (root / f"{name}_segments.csv").write_text(HEAD + "\n".join(lines) + "\n")
    names = [f"-video_{k:04d}.wav" for k in range(8)]
    names += ["-video_0008_30.000_40.000.flac", "Y-video_0009.wav", "YY_3456789ab.wav"]
    names += ["another_one.wav", "-video_0001_cover.png.wav"]
    write_audio(root / "balanced_train_segments", names)
    write_audio(root, ["audios/eval_segments/Yevaluation1.wav", "eval/evaluation2_1000_2000.wav"])
    write_audio(root, ["unbalanced_train_segments/part00/Yunbalanced1.wav"])
    return root


def test_the_clips_that_are_there(
    tmp_path: Path,
    write_audio: Callable[..., None],
    read_valid: Callable[[Path], Manifest],
    caplog: pytest.LogCaptureFixture,
) -> None:
    root = tiny(tmp_path / "audioset", write_audio)
    with caplog.at_level(logging.INFO, "audioinv"):
        manifest = read_valid(audioset.prepare(root, tmp_path / "out"))
    frame = manifest.frame.set_index("id")
    assert frame["split"].value_counts().to_dict() == {"train": 10, "valid": 1, "test": 2}
    assert frame.loc["-video_0009", "path"] == "balanced_train_segments/Y-video_0009.wav"
    assert frame.loc["-video_0009", "sounds"] == "Male speech, man speaking;Speech"
    assert frame.loc["Y_3456789ab", "sounds"] == "Car"
    assert frame.loc["evaluation1", "path"] == "audios/eval_segments/Yevaluation1.wav"
    assert "balanced_train_segments.csv: 11 of 12 clips are there" in caplog.text
    full = read_valid(audioset.prepare(root, tmp_path / "full", train="full")).frame
    assert set(full["id"]) - set(frame.index) == {"unbalanced1"}


def test_downloads_are_lists_only() -> None:
    names = [download.path for download in audioset.downloads()]
    assert names == [
        *("balanced_train_segments.csv", "eval_segments.csv", "class_labels_indices.csv")
    ]
    assert len(audioset.downloads("full")) == 4
    with pytest.raises(UserError, match=r"--train.*'all'.*balanced, full"):
        audioset.downloads("all")


def test_odd_lists_and_no_audio(tmp_path: Path, write_audio: Callable[..., None]) -> None:
    with pytest.raises(UserError, match=r"class_labels_indices\.csv.*research\.google"):
        audioset.prepare(tmp_path, tmp_path / "out")
    root = tiny(tmp_path / "audioset", write_audio)
    (root / "class_labels_indices.csv").write_text(CLASSES.replace("/m/0k4j", "/m/other"))
    with pytest.raises(UserError, match="/m/0k4j"):
        audioset.prepare(root, tmp_path / "out")
    (root / "class_labels_indices.csv").write_text(CLASSES)
    (root / "eval_segments.csv").write_text("evaluation1, 0.000\n")
    with pytest.raises(UserError, match=r"eval_segments\.csv.*'evaluation1, 0\.000'"):
        audioset.prepare(root, tmp_path / "out")
    (root / "balanced_train_segments").rename(root / "elsewhere")
    (root / "eval_segments.csv").write_text(HEAD)
    with pytest.raises(UserError, match="YouTube"):
        audioset.prepare(root, tmp_path / "out")
