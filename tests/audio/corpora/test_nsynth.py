"""NSynth: the published split and the notes' labels."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from audioinv.audio.corpora import nsynth
from audioinv.base.errors import UserError
from audioinv.data.manifest import SPLITS, Manifest

Write = Callable[..., None]


def note(family: str, source: str, number: int, pitch: int, *qualities: str) -> dict[str, object]:
    return {
        "note_str": f"{family}_{source}_{number:03d}-{pitch:03d}-075",
        "instrument_str": f"{family}_{source}_{number:03d}",
        "instrument_family_str": family,
        "instrument_source_str": source,
        "pitch": pitch,
        "velocity": 75,
        "qualities_str": list(qualities),
        "sample_rate": 16000,
    }


def tiny(root: Path, write: Write) -> Path:
    for number, split in enumerate(SPLITS):
        notes = [
            note("bass", "synthetic", number, 33, "dark", "distortion"),
            note("guitar", "acoustic", number, 60),
        ]
        folder = root / f"nsynth-{split}"
        write(folder, [f"audio/{item['note_str']}.wav" for item in notes], 16000)
        examples = {str(item["note_str"]): item for item in notes}
        (folder / "examples.json").write_text(json.dumps(examples))
    return root


def test_split_and_labels(
    tmp_path: Path, write_audio: Write, read_valid: Callable[[Path], Manifest]
) -> None:
    root = tiny(tmp_path / "nsynth", write_audio)
    frame = read_valid(nsynth.prepare(root, tmp_path / "out")).frame
    assert frame["split"].value_counts().to_dict() == {"train": 2, "valid": 2, "test": 2}
    row = frame.set_index("id").loc["bass_synthetic_001-033-075"]
    assert row["split"] == "valid"
    assert row[["family", "source", "pitch", "velocity"]].tolist() == [
        *("bass", "synthetic", "33", "75")
    ]
    assert row["qualities"] == "dark;distortion"
    assert frame.groupby("instrument")["split"].nunique().max() == 1


def test_a_list_of_another_form_is_refused(tmp_path: Path, write_audio: Write) -> None:
    root = tiny(tmp_path, write_audio)
    for odd in ({"a": {"pitch": 1}}, ["a"], {"a": 1}):
        (root / "nsynth-test/examples.json").write_text(json.dumps(odd))
        with pytest.raises(UserError, match=r"examples\.json"):
            nsynth.prepare(root, tmp_path / "out")
