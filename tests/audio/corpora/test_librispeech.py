"""LibriSpeech: utterances drawn from every speaker; speakers told by SPEAKERS.TXT."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest

from audioinv.audio.corpora import librispeech
from audioinv.base.errors import UserError
from audioinv.data.manifest import Manifest

READERS = """\
; Some lines of explanation
;ID  |SEX| SUBSET           |MINUTES| NAME
19   | F | train-clean-100  | 25.19 | Kara | with a bar
26   | M | train-clean-100  | 25.08 | Denny
84   | F | dev-clean        |  8.02 | Christie
"""


def tiny(root: Path, write_audio: Callable[..., None]) -> Path:
    """Two chapters of ten utterances by two speakers, and a third speaker in dev-clean."""
    places = ["train-clean-100/19/198", "train-clean-100/19/227", "train-clean-100/26/495"]
    names = [
        f"{place}/{'-'.join(place.split('/')[1:])}-{take:04d}.flac"
        for place in [*places, "train-clean-100/26/496", "dev-clean/84/121"]
        for take in range(10)
    ]
    write_audio(root / "LibriSpeech", names, 16000)
    (root / "LibriSpeech" / "SPEAKERS.TXT").write_text(READERS)
    return root


def test_every_speaker_is_in_every_part(
    tmp_path: Path, write_audio: Callable[..., None], read_valid: Callable[[Path], Manifest]
) -> None:
    root = tiny(tmp_path / "root", write_audio)
    frame = read_valid(librispeech.prepare(root, tmp_path / "out")).frame
    assert frame.groupby(["speaker", "split"]).size().to_dict() == {
        ("19", "train"): 16, ("19", "valid"): 2, ("19", "test"): 2,
        ("26", "train"): 16, ("26", "valid"): 2, ("26", "test"): 2,
    }  # fmt: skip
    row = frame.set_index("id").loc["19-227-0003"]
    assert row["path"] == "train-clean-100/19/227/19-227-0003.flac"
    assert row[["chapter", "sex"]].tolist() == ["227", "female"]
    both = librispeech.prepare(root, tmp_path / "both", subsets=["train-clean-100", "dev-clean"])
    assert read_valid(both).frame["speaker"].nunique() == 3


def test_downloads_are_the_subsets_asked_for() -> None:
    parser = argparse.ArgumentParser()
    librispeech.add_arguments(parser)
    assert [d.path for d in librispeech.downloads(**vars(parser.parse_args([])))] == [
        "train-clean-100.tar.gz"
    ]
    options = parser.parse_args(["--subsets", "dev-clean", "test-other"])
    urls = [download.url for download in librispeech.downloads(**vars(options))]
    assert urls[1] == "https://www.openslr.org/resources/12/test-other.tar.gz"


def test_what_is_missing_is_told(tmp_path: Path, write_audio: Callable[..., None]) -> None:
    root = tiny(tmp_path / "root", write_audio)
    with pytest.raises(UserError, match=r"SPEAKERS\.TXT.*test-clean.*openslr\.org/12"):
        librispeech.prepare(root, tmp_path / "out", subsets=["test-clean"])
    with pytest.raises(UserError, match=r"--subsets.*'train'.*dev-clean"):
        librispeech.prepare(root, tmp_path / "out", subsets=["train"])
    (root / "LibriSpeech" / "test-clean").mkdir()
    with pytest.raises(UserError, match=r"<speaker>/<chapter>/\*\.flac.*test-clean"):
        librispeech.prepare(root, tmp_path / "out", subsets=["test-clean"])
    (root / "LibriSpeech" / "SPEAKERS.TXT").write_text(READERS.replace("26   | M", "26   | ?"))
    with pytest.raises(UserError, match=r"sex.*26"):
        librispeech.prepare(root, tmp_path / "out")
