"""Neighbours are those of a naive search; what does not belong together is refused."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

import audioinv as ai
from audioinv.base.errors import UserError
from audioinv.cli import main
from audioinv.search import index as module
from audioinv.search.index import Index, index, open_index
from tests.search.conftest import write_encoder

REPOSITORY = Path(__file__).parents[2]
HERE = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}


def naive(made: Index, descriptor: str) -> list[list[int]]:
    """Rows in the order of their cosine to each clip, itself left out, by `Encoder.embed`."""
    features = made.encoder.embed(made.pack, descriptor)
    assert isinstance(features, torch.Tensor)
    unit = functional.normalize((features - features.mean(0)) / features.std(0), dim=1)
    order = (unit @ unit.T).argsort(1, descending=True).tolist()
    return [[row for row in rows if row != own] for own, rows in enumerate(order)]


@pytest.mark.parametrize(("heed", "descriptor"), [([], "all"), (["pitch_shift"], "-pitch_shift")])
def test_neighbours_are_those_of_a_naive_search(
    made: Index, heed: list[str], descriptor: str
) -> None:
    ids = made.pack.frame["id"].tolist()
    found = made.similar(ids, heed=heed, k=3)
    expected = [ids[row] for rows in naive(made, descriptor) for row in rows[:3]]
    # 16 bits may swap two that are all but equally near
    assert np.mean(found["id"].to_numpy() == np.array(expected)) > 0.95
    assert found["query"].tolist() == np.repeat(ids, 3).tolist()
    assert found["rank"].tolist() == [1, 2, 3] * len(ids)
    assert not (found["id"] == found["query"]).any()


def test_a_switch_changes_the_neighbours(made: Index) -> None:
    ids = made.pack.frame["id"].tolist()
    on, off = (made.similar(ids, heed=heed, k=3)["id"] for heed in ([], ["pitch_shift"]))
    assert 0.05 < np.mean(on == off) < 0.95


def test_a_file_is_nearest_to_itself(made: Index) -> None:
    path = made.pack.frame["path"][7]
    (root,) = made.pack.directory.parent.glob("audio")
    found = made.similar(root / path, k=2)
    assert found["id"][0] == made.pack.frame["id"][7] and found["similarity"][0] > 0.999
    assert made.similar([root / path, root / path], k=1)["similarity"].min() > 0.999


def test_many_clips_are_found_by_the_graph(made: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = made.pack.frame["id"].tolist()
    exact = made.similar(ids, k=5)
    monkeypatch.setattr(module, "EXACT", 0)
    assert np.mean(made.similar(ids, k=5)["id"] == exact["id"]) > 0.9


def test_what_stands_finished_is_kept(made: Index, encoder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in made.folder.iterdir()}
    index(made.pack, encoder, made.folder)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_the_same_files_each_time(made: Index, encoder: Path, tmp_path: Path) -> None:
    index(made.pack, encoder, tmp_path / "again")
    for name in ("11.usearch", "11.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (made.folder / name).read_bytes()


def test_what_a_killed_one_left_half_written_goes(
    made: Index, encoder: Path, tmp_path: Path
) -> None:
    half = tmp_path / ".01.usearch.host-1.tmp"
    half.write_bytes(b"half")
    index(made.pack, encoder, tmp_path)
    assert not half.exists()


def test_an_index_of_others_is_refused(
    made: Index, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, copied = write_encoder(made.pack, tmp_path / "other", 1), tmp_path / "encoder"
    with pytest.raises(UserError, match="another encoder"):
        index(made.pack, other, made.folder)
    with pytest.raises(UserError, match="another levels"):
        index(made.pack, encoder, made.folder, levels="all")
    shutil.copytree(encoder, copied)
    index(made.pack, copied, tmp_path / "index")
    shutil.copytree(other, copied, dirs_exist_ok=True)
    with pytest.raises(UserError, match="another encoder"):
        open_index(tmp_path / "index")
    with pytest.raises(UserError, match="is no index; make it: audioinv index PACK"):
        open_index(tmp_path)


def test_a_damaged_file_is_refused(made: Index, tmp_path: Path) -> None:
    shutil.copytree(made.folder, tmp_path / "index")
    path = tmp_path / "index" / "11.usearch"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="damaged"):
        open_index(tmp_path / "index").similar(made.pack.frame["id"][0])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--ignore", "pich_shift"], "did you mean pitch_shift?"),
        (["--heed", "noise"], "this space has pitch_shift, white_noise"),
        (["--heed", "white_noise", "--ignore", "white_noise"], "give one of the two"),
        (["--heed", "white_noise+pitchshift"], "did you mean pitch_shift?"),
        (["-k", "0"], "k is 0; give 1 or more"),
    ],
)
def test_refusals(
    made: Index, words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = made.pack.frame["id"][0]
    assert main(["similar", name, "--index", str(made.folder), *words]) == 2
    assert told in capsys.readouterr().err
    assert main(["similar", f"{name}x", "--index", str(made.folder)]) == 2
    assert f"did you mean {name}?" in capsys.readouterr().err


def test_from_the_shell_it_is_the_same(
    made: Index, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, name = str(tmp_path / "index"), made.pack.frame["id"][0]
    given = ["--encoder", str(encoder), "--out", folder, "--descriptor=-pitch_shift"]
    assert main(["index", str(made.pack.directory), *given]) == 0
    assert capsys.readouterr().out.strip() == folder
    assert (tmp_path / "index" / "01.usearch").exists()
    words = ["similar", name, "--index", folder, "--heed", "pitch_shift", "-k", "4"]
    assert main(words) == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out), dtype={"id": str})
    pd.testing.assert_series_equal(
        table["id"], made.similar(name, heed=["pitch_shift"], k=4)["id"], check_dtype=False
    )


def test_the_face_has_it() -> None:
    assert ai.index is index and ai.open_index is open_index and ai.Index is Index


def test_the_example_tells_rates(made: Index) -> None:
    script = str(REPOSITORY / "examples" / "search.py")
    command = [sys.executable, script, str(made.folder), "pitch_shift", "label"]
    done = subprocess.run(command, capture_output=True, text=True, env=HERE, check=True)
    frame = made.pack.frame
    queries = frame.loc[frame["split"] == "test", "id"].tolist()
    found = made.similar(queries, heed=["pitch_shift"])
    labels = frame.set_index("id")["label"]
    same = found["label"].to_numpy() == labels[found["query"]].to_numpy()
    rows = {
        line.rsplit(maxsplit=1)[0].strip(): line.split()[-1] for line in done.stdout.splitlines()
    }
    assert float(rows["pitch_shift heeded"]) == pytest.approx(same.mean(), abs=1e-3)
    assert rows["chance"] == "0.2"


def test_a_folder_of_files_is_packed_first_and_its_index_opens_again(
    pack: ai.Pack, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audio = pack.directory.parent / "audio"
    root = shutil.copytree(audio, tmp_path / "sounds")
    (root / "tone0" / "broken.wav").write_bytes(b"RIFF")
    found = ai.index(root, encoder, tmp_path / "index")

    assert "broken.wav" in capsys.readouterr().err
    assert len(found.pack) == len(pack)
    assert set(found.pack.frame["label"]) == {f"tone{k}" for k in range(5)}
    file = str(next((root / "tone3").iterdir()))
    (first, *_), again = (
        each.similar(file, k=2)["path"].tolist() for each in (found, open_index(tmp_path / "index"))
    )
    assert (root / first).samefile(file)
    assert again[0] == first


def test_what_is_no_folder_is_refused(encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give a pack, or a folder of files"):
        ai.index(tmp_path / "nothing", encoder, tmp_path / "index")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="there are no files"):
        ai.index(tmp_path / "empty", encoder, tmp_path / "index")
