from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import benchmarks.measure
from benchmarks.__main__ import main
from benchmarks.catalogue import BENCHMARKS
from benchmarks.measure import Comparison, Ratio, Setup, measure
from benchmarks.record import merge, table
from tests.halves import of_images, of_sounds


class Clock:
    """Stands still unless a contender works."""

    def __init__(self) -> None:
        self.now = 0.0
        self.order: list[str] = []

    def contender(self, name: str, seconds: list[float]) -> object:
        def run() -> None:
            self.order.append(name)
            self.now += seconds[min(self.order.count(name), len(seconds)) - 1]

        return run


def compare(monkeypatch: pytest.MonkeyPatch, *ratios: Ratio) -> tuple[Clock, dict]:
    """Slow takes 9 s to warm up, then 4, 8 and 6 s; fast 5, then 1, 4 and 2 s."""
    clock = Clock()
    monkeypatch.setattr(benchmarks.measure, "clock_of", lambda setup: ("test", lambda: clock.now))
    contenders = {
        "slow": clock.contender("slow", [9.0, 4.0, 8.0, 6.0]),
        "fast": clock.contender("fast", [5.0, 1.0, 4.0, 2.0]),
    }
    found = measure(Comparison("work", {"batch": 3}, contenders, ratios), Setup(), rounds=3)
    return clock, found


def test_contenders_take_turns_after_a_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, found = compare(monkeypatch)
    assert clock.order == ["slow", "fast"] * 4
    assert found["ms"]["slow"]["median"] == 6000 and found["ms"]["fast"]["median"] == 2000


def test_a_ratio_is_the_median_over_turns_and_not_of_medians(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, found = compare(monkeypatch, Ratio("slow", "fast"))  # 4, 2 and 3
    (ratio,) = found["ratios"]
    assert (ratio["low"], ratio["median"], ratio["high"]) == (2.5, 3.0, 3.5)


def test_a_part_is_compared_with_a_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    _, found = compare(monkeypatch, Ratio("slow", "slow + fast"))  # 4/5, 8/12 and 6/8
    assert found["ratios"][0]["median"] == 0.75


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ({"least": 2.5}, "at least 2.5: met"),
        ({"least": 3.5}, "at least 3.5: **missed**"),
        ({"most": 3.1}, "at most 3.1: met"),
        ({"least": 1, "most": 2.9}, "at least 1, at most 2.9: **missed**"),
    ],
)
def test_a_missed_target_is_said(
    target: dict[str, float], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, found = compare(monkeypatch, Ratio("slow", "fast", **target))
    assert f"| *slow / fast* | *3 (2.5 to 3.5)* | {words} |" in table(found)


def test_figures_of_other_benchmarks_are_kept(tmp_path: Path) -> None:
    machine = {"hardware": "one abacus", "threads": 1, "python": "3", "versions": {"torch": "2"}}
    found = {"about": "First.", "command": "count", "date": "today", "machine": machine}
    merge(tmp_path, "a", {**found, "comparisons": []})
    merge(tmp_path, "b", {**found, "about": "Second.", "comparisons": []})
    merge(tmp_path, "a", {**found, "about": "Third.", "comparisons": []})
    page = (tmp_path / "benchmarks.md").read_text()
    assert "Third." in page and "Second." in page and "First." not in page
    assert "`count` on one abacus, 1 thread, today; Python 3, torch 2." in page


@of_sounds
@pytest.mark.slow
def test_one_comparison_can_be_measured_anew(tmp_path: Path) -> None:
    arguments = ["augmentations", "--miniature", "--rounds", "1", "--out", str(tmp_path), "--only"]
    figures = []
    for only in ("fade", "time mask", "fade"):
        assert main([*arguments, only]) == 0
        found = json.loads((tmp_path / "benchmarks.json").read_text())["augmentations"]
        figures.append({c["name"]: c["ms"] for c in found["comparisons"]})
    assert list(figures[0]) == ["fade"] and list(figures[2]) == ["fade", "time mask"]
    assert figures[2]["time mask"] == figures[1]["time mask"]


@of_sounds
@pytest.mark.slow
def test_comparisons_that_a_benchmark_no_longer_makes_are_dropped(tmp_path: Path) -> None:
    old = {"name": "by abacus", "work": {}, "rounds": 1, "load": 0, "clock": "sun", "ms": {}}
    machine = {"hardware": "one abacus", "threads": 1, "python": "3", "versions": {}}
    found = {"about": "Old.", "command": "count", "date": "then", "machine": machine}
    merge(tmp_path, "log_mel", {**found, "comparisons": [{**old, "ratios": []}]})
    assert "by abacus" in (tmp_path / "benchmarks.md").read_text()
    assert main(["log_mel", "--miniature", "--rounds", "1", "--out", str(tmp_path)]) == 0
    assert "by abacus" not in (tmp_path / "benchmarks.md").read_text()


@of_sounds
@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=of_images) if name == "penalty" else name for name in BENCHMARKS],
)
def test_every_benchmark_runs(name: str, tmp_path: Path) -> None:
    assert main([name, "--miniature", "--rounds", "1", "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "benchmarks.json").read_text())[name]
    assert found["about"] and found["comparisons"] and found["machine"]["threads"] == 1
    for comparison in found["comparisons"]:
        assert all(ms["median"] > 0 for ms in comparison["ms"].values())
    assert f"## {name}" in (tmp_path / "benchmarks.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["speed_of_light"], "there is no benchmark speed_of_light; give some of log_mel"),
        (["log_mel", "--rounds", "0"], "--rounds is 0; give 1 or more"),
    ],
)
def test_mistakes_are_explained(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["log_mel", "--device", "cuda"]) == 2
    assert "torch sees no GPU here" in capsys.readouterr().err
