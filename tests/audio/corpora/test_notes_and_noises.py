"""Notes and noises: rendered into files of many sounds, once, and the same again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audioinv.audio.anything import draw_sound
from audioinv.audio.corpora import notes_and_noises
from audioinv.audio.io import read
from audioinv.base.errors import UserError
from audioinv.data.manifest import read_manifest
from audioinv.data.validate import validate

SIZES = {"n_train": 300, "n_valid": 5, "n_test": 4}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("notes")
    notes_and_noises.prepare(folder / "root", folder / "data", **SIZES, nj=1)
    return folder


def test_rows_are_the_sounds_of_their_numbers(rendered: Path) -> None:
    manifest = read_manifest(rendered / "data")
    assert manifest.frame["split"].value_counts().to_dict() == {"train": 300, "valid": 5, "test": 4}
    row = manifest.frame.set_index("id").loc["train-000259"]
    samples, rate = read(manifest.path(row), row["start"], row["duration"])

    sound = draw_sound(0, 3 * 259, 16000, 16000)
    assert rate == 16000
    np.testing.assert_allclose(samples[:, 0], sound.samples, atol=2**-15)
    assert row["kind"] == sound.kind
    assert np.isnan(row["pitch"]) == np.isnan(sound.hz)


def test_nothing_is_wrong_with_it(rendered: Path) -> None:
    assert not validate(read_manifest(rendered / "data"))


def test_what_is_there_stays_and_other_settings_are_refused(rendered: Path) -> None:
    file = rendered / "root" / "train" / "000000.wav"
    before = file.stat().st_mtime_ns, (rendered / "data" / "manifest.csv").read_bytes()
    notes_and_noises.prepare(rendered / "root", rendered / "data", **SIZES, nj=1)

    assert before == (file.stat().st_mtime_ns, (rendered / "data" / "manifest.csv").read_bytes())
    with pytest.raises(UserError, match="other settings"):
        notes_and_noises.prepare(rendered / "root", rendered / "data", seed=1, **SIZES, nj=1)


@pytest.mark.parametrize(
    "wrong", [{"n_train": 0}, {"sample_rate": 100}, {"duration_s": 0.1}, {"nj": 0}]
)
def test_numbers_out_of_range_are_refused(tmp_path: Path, wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match="give"):
        notes_and_noises.prepare(
            tmp_path / "root", tmp_path / "data", **{**SIZES, "nj": 1, **wrong}
        )
