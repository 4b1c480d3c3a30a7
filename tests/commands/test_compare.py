"""audioinv compare, as a user runs it, with a rival made for the test."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import audioinv as ai
from audioinv.cli import main
from tests.commands.conftest import World

RIVAL = """
import torch
from audioinv.audio.rivals.rival import Rival

class Loudness(Rival):
    title, sample_rate, clip_s = "Loudness", 4000, 0.5

    def levels(self, sounds):
        power = sounds.unflatten(1, (10, -1)).square().mean(2)
        return [power.log1p(), power.mean(1, keepdim=True)]
"""
SPECTRUM = "Spectrum mean and std, no network"
AT = ("last layer", "all levels")
PLAIN = ("Amortised, all on", "Amortised, soft descriptor", "Random encoder", "Loudness")
ROWS = {SPECTRUM, *(f"{name}, {at}" for name in PLAIN for at in AT)}


def line(world: World, out: Path, packs: list[Path], *more: str) -> list[str]:
    named = ["compare", "--encoder", str(world.run / "encoder"), "--out", str(out)]
    named += ["--packs", *map(str, packs), "--rivals", "random", "spectrum"]
    return [*named, "audioinv_test_rival:Loudness", "--labels", "4", "0", "--draws", "2", *more]


@pytest.fixture(scope="module")
def rival(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("rival")
    (folder / "audioinv_test_rival.py").write_text(RIVAL)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield
    sys.modules.pop("audioinv_test_rival", None)


@pytest.fixture(scope="module")
def packs(finished: World, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The corpus at the rate of the encoder and at that of the rival."""
    other = tmp_path_factory.mktemp("packs") / "at_4000"
    given = [str(finished.manifest), "--out", str(other), "--sample_rate", "4000", "--nj", "1"]
    assert main(["pack", *given]) == 0
    return [finished.pack, other]


@pytest.fixture(scope="module")
def compared(
    finished: World, packs: list[Path], rival: None, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("compared") / "out"
    assert main(line(finished, out, packs)) == 0
    return out


def results(out: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(out.glob("*/*/tasks/**/result.json"))]


def test_every_row_has_the_same_tasks_labels_and_test_clips(compared: Path) -> None:
    found = pd.DataFrame(results(compared))
    few = found[found["protocol"] == "linear-v1, 4 labels a class"]
    every = found[found["protocol"] == "linear-v1, all labels a class"]
    assert set(found["label"]) == ROWS and set(found["task"]) == {"label"}
    assert len(few) == 2 * len(ROWS) and len(every) == len(ROWS)
    assert set(few["n_train"]) == {24} and set(every["n_train"]) == {48}
    assert set(found["n_test"]) == {12} and set(few["seed"]) == {0, 1}


@pytest.mark.parametrize("mode", ["fixed:all", "soft"])
@pytest.mark.parametrize("level", ["last", "depth"])
@pytest.mark.parametrize(("labels", "seed"), [(0, 0), (4, 1)])
def test_the_figures_are_those_of_adapt_and_evaluate(
    finished: World, compared: Path, mode: str, level: str, labels: int, seed: int
) -> None:
    task = ai.open_pack(finished.pack).task("label")
    own = {"mode": mode, "layers": level, "labels_per_class": labels // 2, "seed": seed}
    learnt = ai.adapt(finished.run / "encoder", task, device="cpu", **own)
    expected = ai.evaluate(learnt)
    (mine,) = [
        r
        for r in results(compared)
        if r["label"].startswith("Amortised")
        and (r["mode"], r["layers"], r["seed"]) == (mode, level, seed)
        and r["protocol"].endswith(f", {labels or 'all'} labels a class")
    ]
    assert mine["value"] == expected.value and mine["interval"] == list(expected.interval or ())
    assert mine["n_features"] == len(learnt.folds[0].readout.mean)


def test_the_table_tells_sizes_and_marks_equal_ones(compared: Path) -> None:
    text = (compared / "table.md").read_text()
    assert text.index("**4 labels a class**") < text.index("**All labels a class**")
    cells = {row.split(" | ")[0].removeprefix("| "): row for row in text.splitlines()}
    assert " | 16 a | " in cells["Amortised, all on, last layer"]
    assert " | 16 a | " in cells["Random encoder, last layer"]
    # Loudness at all levels chose one of them, of one feature.
    assert " | 48 | " in cells[SPECTRUM] and " | 1 b | " in cells["Loudness, last layer"]
    assert "Loudness, all levels" in (compared / "table.html").read_text()
    assert set(pd.read_csv(compared / "table.csv")["label"]) == ROWS


def test_what_is_there_stays_and_what_is_not_is_made(
    finished: World, packs: list[Path], compared: Path, tmp_path: Path, rival: None
) -> None:
    out = tmp_path / "out"
    shutil.copytree(compared, out)
    files = sorted(out.glob("*/*/tasks/**/result.json"))
    before = {path: path.stat().st_mtime_ns for path in files}
    value = json.loads(files[0].read_text())["value"]
    files[0].unlink()
    assert main(line(finished, out, packs)) == 0
    assert json.loads(files[0].read_text())["value"] == value
    assert [path for path in files if path.stat().st_mtime_ns != before[path]] == files[:1]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--labels", "5"], "even numbers"),
        (["--draws", "1"], "2 or more"),
        (["--levels", "first"], "last or depth"),
        (["--modes", "paper"], "give soft or search"),
        (["--rivals", "resemblizer"], "did you mean resemblyzer"),
        (["--rivals", "audioinv_test_rival:Absent"], "cannot be imported"),
        (["--tasks", "label"], "CORPUS:TASK"),
        (["--readout", "lda"], "made with other settings (adapt.readout ridge -> lda)"),
        (["--label", "Mine"], "made with other settings"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    finished: World, packs: list[Path], compared: Path, more: list[str], told: str,
    rival: None, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert main(line(finished, compared, packs, *more)) == 2
    assert told in capsys.readouterr().err


def test_a_rate_that_is_wanted_and_not_packed_is_named(
    finished: World, packs: list[Path], tmp_path: Path, rival: None,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert main(line(finished, tmp_path / "out", packs[:1])) == 2
    assert "4000 is wanted too: pack it so" in capsys.readouterr().err
    assert main(line(finished, tmp_path / "out", [], "--sizes")) == 0
    assert capsys.readouterr().out == "4000 8000\n"


def test_packs_of_other_clips_are_refused(
    finished: World, tmp_path: Path, rival: None, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(finished.manifest.parent, tmp_path / "data")
    fewer = pd.read_csv(finished.manifest, dtype=str).iloc[1:]
    fewer.to_csv(tmp_path / "data" / "manifest.csv", index=False)
    given = ["pack", str(tmp_path / "data"), "--out", str(tmp_path / "few"), "--nj", "1"]
    given += ["--root", str(finished.folder / "audio")]
    assert main([*given, "--sample_rate", "4000"]) == 0
    assert main(line(finished, tmp_path / "out", [finished.pack, tmp_path / "few"])) == 2
    assert "hold different clips" in capsys.readouterr().err
