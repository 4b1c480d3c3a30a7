"""Common Voice: languages and accents of speakers who are in one part only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from audioinv.audio.corpora import common_voice
from audioinv.base.errors import UserError
from audioinv.data.manifest import Manifest

ACCENTS = ["England English", "", 'Said "Irish', "England English", "Scottish", 'Said "Irish']


def tiny(root: Path, write_audio: Callable[..., None]) -> Path:
    """Twelve speakers of English with accents and a split, ten of Basque with neither."""
    english = [
        (f"en{speaker:02d}", f"common_voice_en_{speaker:02d}{take}.mp3", ACCENTS[speaker % 6])
        for speaker in range(12)
        for take in range(2)
    ]
    write_audio(root / "en" / "clips", [path for _, path, _ in english], 16000)
    head = "client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccents\tlocale\tsegment"
    lines = [f'{who}\t{path}\t"Odd\t2\t0\t\t\t{accent}\ten\t' for who, path, accent in english]
    for name, part in (("validated", lines), ("dev", lines[:2]), ("test", lines[2:9:6])):
        (root / "en" / f"{name}.tsv").write_text("\n".join([head, *part]) + "\n")
    basque = [(f"eu{k}", f"common_voice_eu_{k}") for k in range(10)]
    write_audio(root / "eu" / "clips", [f"{path}.mp3" for _, path in basque], 16000)
    lines = [f"{who}\t{path}\tbat\t2\t0\t\t\t\teu\t" for who, path in basque]
    (root / "eu" / "validated.tsv").write_text(
        "\n".join([head.replace("accents", "accent"), *lines]) + "\n"
    )
    return root


def test_languages_with_the_releases_split_or_a_drawn_one(
    tmp_path: Path, write_audio: Callable[..., None], read_valid: Callable[[Path], Manifest]
) -> None:
    tiny(tmp_path / "cv-corpus" / "v1", write_audio)
    manifest = read_valid(common_voice.prepare(tmp_path / "cv-corpus", tmp_path / "out"))
    frame = manifest.frame
    assert [task.name for task in manifest.corpus.tasks] == ["language"]
    assert frame.groupby(["language", "split"]).size().to_dict() == {
        ("en", "train"): 18, ("en", "valid"): 2, ("en", "test"): 4,
        ("eu", "train"): 8, ("eu", "valid"): 1, ("eu", "test"): 1,
    }  # fmt: skip
    english = frame[frame["language"] == "en"].groupby("split")["speaker"].unique()
    assert (list(english["valid"]), list(english["test"])) == (["en00"], ["en01", "en04"])
    assert set(frame.groupby("speaker")["split"].nunique()) == {1}
    assert "eu/clips/common_voice_eu_3.mp3" in set(frame["path"])


def test_accents_that_enough_speakers_have(
    tmp_path: Path, write_audio: Callable[..., None], read_valid: Callable[[Path], Manifest]
) -> None:
    root = tiny(tmp_path / "v1", write_audio)
    options = {"label": "accent", "min_speakers": 3}
    manifest = read_valid(common_voice.prepare(root / "en", tmp_path / "out", **options))
    counts = manifest.frame.groupby("accent")["speaker"].nunique().to_dict()
    assert counts == {"England English": 4, 'Said "Irish': 4}
    assert [task.name for task in manifest.corpus.tasks] == ["accent"]
    alone = read_valid(common_voice.prepare(root, tmp_path / "eu", languages=["eu"]))
    assert len(alone) == 10 and alone.corpus.tasks == ()


def test_what_is_not_there(tmp_path: Path, write_audio: Callable[..., None]) -> None:
    with pytest.raises(UserError, match=r"\*/validated\.tsv.*login"):
        common_voice.prepare(tmp_path, tmp_path / "out")
    root = tiny(tmp_path / "v1", write_audio)
    with pytest.raises(UserError, match=r"--languages.*'fr'.*en, eu"):
        common_voice.prepare(root, tmp_path / "out", languages=["fr"])
    with pytest.raises(UserError, match=r"en, eu.*accent.*10 "):
        common_voice.prepare(root, tmp_path / "out", label="accent")
    with pytest.raises(UserError, match=r"--min_speakers.*0"):
        common_voice.prepare(root, tmp_path / "out", min_speakers=0)
    with pytest.raises(UserError, match=r"--label.*'age'.*accent, language"):
        common_voice.prepare(root, tmp_path / "out", label="age")
