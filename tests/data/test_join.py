"""Several corpora as one: their clips for training, wherever the files are, and no test clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from audioinv.audio.corpora import folder, notes_and_noises
from audioinv.audio.io import read, write_wav
from audioinv.base.errors import UserError
from audioinv.cli import main
from audioinv.data.join import join
from audioinv.data.manifest import Corpus, read_manifest, write_manifest


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    """A corpus with a split and one with folds, their files in folders apart."""
    notes_and_noises.prepare(
        tmp_path / "a" / "sounds", tmp_path / "a" / "data", n_train=6, n_valid=2, n_test=2, nj=1
    )
    for k in range(6):
        path = tmp_path / "b" / "clips" / f"{k}.wav"
        write_wav(path, np.full(800, (k + 1) / 10), 8000)
    rows = pd.DataFrame({"path": [f"{k}.wav" for k in range(6)], "fold": [1, 1, 2, 2, 3, 3]})
    rows = rows.assign(id=rows["path"], start=0.0, duration=0.1, sample_rate=8000)
    corpus = Corpus("bees", "Bees", "here", "mine", "../clips", 8000)
    write_manifest(tmp_path / "b" / "data", rows, corpus)
    return [tmp_path / "a" / "data", tmp_path / "b" / "data"]


def test_it_holds_their_training_clips_and_every_path_leads_to_its_file(
    two: list[Path], tmp_path: Path
) -> None:
    joined = read_manifest(join(two, tmp_path / "joined", test_fold="3"))

    counts = joined.frame.groupby(["corpus", "split"]).size().to_dict()
    assert counts == {
        ("bees", "train"): 4,
        ("notes_and_noises", "train"): 6,
        ("notes_and_noises", "valid"): 2,
    }
    row = joined.frame.set_index("id").loc["bees-3.wav"]
    samples, rate = read(joined.path(row), row["start"], row["duration"])
    assert rate == 8000 and samples[0, 0] == pytest.approx(0.4, abs=1e-4)
    assert "mine" in joined.corpus.licence and "CC0-1.0" in joined.corpus.licence
    assert joined.corpus.tasks == ()


def test_so_many_of_each_are_drawn_by_the_seed(two: list[Path], tmp_path: Path) -> None:
    drawn = []
    for seed, name in ((0, "x"), (0, "y"), (1, "z")):
        path = join(two, tmp_path / name, test_fold="3", most=3, seed=seed)
        frame = read_manifest(path).frame
        assert frame[frame["split"] == "train"].groupby("corpus").size().tolist() == [3, 3]
        drawn.append(list(frame["id"]))
    assert drawn[0] == drawn[1] != drawn[2]


def test_what_cannot_be_joined_is_refused(two: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "joined"
    with pytest.raises(UserError, match="two corpora"):
        join(two[:1], out)
    with pytest.raises(UserError, match="twice"):
        join([two[0], two[0]], out)
    with pytest.raises(UserError, match="--test_fold, one of 1, 2, 3"):
        join(two, out)
    with pytest.raises(UserError, match="0, for all"):
        join(two, out, test_fold="1", most=-1)
    assert not out.exists()


def test_the_command_says_how_many(
    two: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "joined"
    assert main(["join", *map(str, two), "--test_fold", "1", "--out", str(out)]) == 0
    assert "bees train: 4" in capsys.readouterr().out


def test_folders_of_ones_own_can_be_joined_with_it(two: list[Path], tmp_path: Path) -> None:
    for k in range(10):
        write_wav(tmp_path / "own" / "x" / f"{k}.wav", np.full(800, 0.1), 8000)
    folder.prepare(tmp_path / "own", tmp_path / "own_data")
    joined = read_manifest(join([two[0], tmp_path / "own_data"], tmp_path / "joined"))
    assert joined.frame["corpus"].nunique() == 2
