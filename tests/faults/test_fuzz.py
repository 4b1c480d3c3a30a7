"""Fuzzing of all that reads what others made: a result or a UserError, nothing else.

A few cases of every target run in `make test`, thousands in `make test-faults`: drawn by their
properties (hypothesis), and steered by coverage to lines that none has reached (guided.py). What
has failed once stands in test_past_failures.py, of a sound or an image with the tests of its half.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

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
    done = 0

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
        run(case)

    cases()
    return done


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
