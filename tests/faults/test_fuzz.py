"""Fuzzing of all that reads what others made: a result or a UserError, nothing else.

A few cases of every target run in `make test`, thousands in `make test-faults`: drawn by their
properties (hypothesis), and steered by coverage to lines that none has reached (guided.py). What
has failed once stands in past/, to which fuzzing adds, and in test_past_failures.py; of a sound or
an image with the tests of its half.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.faults.past import past, remember
from tests.faults.targets import TARGETS

NIGHTLY = {
    "audio": 7000, "image": 2500, "manifest": 2500, "corpus": 1200, "pack": 2500,
    "checkpoint": 1500, "encoder": 400, "adaptation": 1000, "descriptor": 2500, "override": 400,
    "recipe": 200,
}  # fmt: skip
QUICK = 25


def fuzz(target: str, folder: Path, most: int, derandomize: bool) -> int:
    """Runs up to `most` cases; how many there were."""
    strategy, run = TARGETS[target](folder)
    done, failed = 0, []

    @settings(
        max_examples=most,
        deadline=None,
        database=None,
        derandomize=derandomize,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    @given(strategy)
    def cases(case: Any) -> None:
        nonlocal done
        done += 1
        try:
            run(case)
        except Exception:
            failed.append(case)
            raise

    try:
        cases()
    finally:
        for case in failed[-1:]:  # the smallest, which hypothesis runs last
            remember(target, case)
    return done


@pytest.mark.parametrize("target", TARGETS)
def test_what_failed_once(tmp_path: Path, target: str) -> None:
    _, run = TARGETS[target](tmp_path)
    for case in past(target):
        run(case)


def test_a_failing_case_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(number: float) -> None:
        assert not number > 3

    known = tmp_path / "past"
    known.mkdir()
    monkeypatch.setitem(TARGETS, "number", lambda folder: (st.integers(0, 99), fails))
    monkeypatch.setattr("tests.faults.test_fuzz.remember", partial(remember, folder=known))
    for _ in range(2):
        with pytest.raises(AssertionError):
            fuzz("number", tmp_path, 50, derandomize=True)
    assert past("number", known) == [4]


def test_any_case_is_read_back(tmp_path: Path) -> None:
    odd = ("a", b"\xff\n", float("inf"), {"\u00e9\u2028": None})
    for case in (odd, odd, ["b"]):
        remember("odd", case, tmp_path)
    assert past("odd", tmp_path) == [odd, ["b"]]


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_a_few_cases(tmp_path: Path, target: str) -> None:
    few = 5 if target in ("recipe", "encoder", "override") else QUICK
    assert fuzz(target, tmp_path, few, derandomize=True) >= few


@pytest.mark.faults
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("target", TARGETS)
def test_thousands_of_cases(tmp_path: Path, target: str, counted: Counter[str]) -> None:
    counted["cases fuzzed"] += fuzz(target, tmp_path, NIGHTLY[target], derandomize=False)


@pytest.mark.faults
@pytest.mark.timeout(1200)
@pytest.mark.skipif(find_spec("atheris") is None, reason="Atheris is not installed")
@pytest.mark.parametrize("target", TARGETS)
def test_cases_guided_by_coverage(tmp_path: Path, target: str, counted: Counter[str]) -> None:
    runs = NIGHTLY[target]
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.guided", target, str(tmp_path), f"-runs={runs}"],
        capture_output=True,
        cwd=Path(__file__).parents[2],
        text=True,
        errors="replace",
    )
    assert done.returncode == 0, done.stderr[-4000:]
    (cases,) = np.fromfile(tmp_path / "cases", np.int64)
    assert cases > runs / 4  # the other words were too short for a case
    counted["cases fuzzed, guided by coverage"] += int(cases)
