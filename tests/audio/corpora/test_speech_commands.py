"""Speech Commands: the published lists; unknown words and silence of the 12 classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from audioinv.audio.corpora import speech_commands
from audioinv.audio.corpora.speech_commands import COMMANDS, NOISE_PARTS, prepare
from audioinv.base.errors import UserError
from audioinv.data.manifest import Manifest

Read = Callable[[Path], Manifest]
Write = Callable[..., None]
OTHERS = ("bed", "cat", "happy")
SPEAKERS = {"0a": "train", "0b": "train", "0c": "train", "0d": "valid", "0e": "test"}


@pytest.fixture
def root(tmp_path: Path, write_audio: Write) -> Path:
    """Thirteen words by five speakers, and a noise of 20 s."""
    folder = tmp_path / "audio" / "speech_commands_v0.02"
    words = (*COMMANDS, *OTHERS)
    paths = {s: [f"{w}/{s}7f_nohash_0.wav" for w in words] for s in SPEAKERS}
    for some in paths.values():
        write_audio(folder, some, 16000, 0.05)
    write_audio(folder, ["_background_noise_/pink_noise.wav"], 16000, 20)
    (folder / "validation_list.txt").write_text("\n".join(paths["0d"]) + "\n")
    (folder / "testing_list.txt").write_text("\n".join(paths["0e"]) + "\n")
    return folder


def test_every_word_in_the_published_split(root: Path, tmp_path: Path, read_valid: Read) -> None:
    frame = read_valid(prepare(root.parent, tmp_path / "out")).frame
    assert frame["split"].value_counts().to_dict() == {"train": 39, "valid": 13, "test": 13}
    assert set(frame["word"]) == {*COMMANDS, *OTHERS}
    assert frame.groupby("speaker")["split"].unique().map(list).to_dict() == {
        f"{speaker}7f": [split] for speaker, split in SPEAKERS.items()
    }


def test_ten_classes_are_the_commands(root: Path, tmp_path: Path, read_valid: Read) -> None:
    frame = read_valid(prepare(root, tmp_path / "out", classes="10")).frame
    assert frame["word"].value_counts().to_dict() == dict.fromkeys(COMMANDS, 5)


def test_unknown_and_silence_have_a_commands_share(
    root: Path, tmp_path: Path, read_valid: Read
) -> None:
    frame = read_valid(prepare(root, tmp_path / "out", classes="12")).frame
    counts = frame.groupby(["word", "split"]).size()
    share = {"train": 3, "valid": 1, "test": 1}
    assert {word: counts[word].to_dict() for word in counts.index.levels[0]} == dict.fromkeys(
        (*COMMANDS, "unknown", "silence"), share
    )
    unknown = frame[frame["word"] == "unknown"]
    assert set(unknown["path"].str.split("/").str[0]) <= set(OTHERS)
    silence = frame[frame["word"] == "silence"]
    assert (silence["duration"] == 1).all()
    for split, (first, last) in NOISE_PARTS.items():
        cuts = silence[silence["split"] == split]
        assert cuts["start"].min() >= 20 * first
        assert (cuts["start"] + 1).max() <= 20 * last


def test_the_seed_chooses_the_unknown_words_only(root: Path, tmp_path: Path) -> None:
    texts = [
        prepare(root, tmp_path / str(k), seed, classes="12").read_text()
        for k, seed in enumerate((0, 0, 1))
    ]
    assert texts[0] == texts[1]
    one, two = (
        {line for line in text.splitlines() if ",unknown," not in line} for text in texts[1:]
    )
    assert one == two and texts[1] != texts[2]


def test_each_version_has_its_own_archive() -> None:
    paths = [speech_commands.downloads(version)[0].path for version in ("1", "2")]
    assert paths == [f"speech_commands_v0.0{v}/speech_commands_v0.0{v}.tar.gz" for v in (1, 2)]
    with pytest.raises(UserError, match=r"version.*'3'.*1, 2"):
        speech_commands.downloads("3")


def test_what_is_missing_is_named(root: Path, tmp_path: Path) -> None:
    (root / "yes/0d7f_nohash_0.wav").unlink()
    with pytest.raises(UserError, match=r"validation_list\.txt .* yes/0d7f_nohash_0\.wav"):
        prepare(root, tmp_path / "out")
    (root / "validation_list.txt").write_text("")
    (root / "_background_noise_/pink_noise.wav").unlink()
    with pytest.raises(UserError, match="_background_noise_"):
        prepare(root, tmp_path / "out", classes="12")
