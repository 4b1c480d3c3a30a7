"""Sentences of a report: what was asked for, and gains as the numbers say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_rel

from audioinv.report.collect import read_experiment
from audioinv.report.finding import Finding, findings
from audioinv.tasks.result import Result


@pytest.fixture
def results(experiment: Path) -> list[Result]:
    found = read_experiment(experiment).results
    return [replace(r, mode="fixed:all") if r.mode == "fixed" else r for r in found]


def of(results: list[Result], task: str) -> Finding:
    (found,) = [each for each in findings(results) if each.task == task]
    return found


def asked(results: list[Result], **descriptor: float) -> str:
    return of([replace(r, descriptor=r.descriptor and descriptor) for r in results], "digit").asked


def test_there_is_one_for_each_task_that_learnt(results: list[Result]) -> None:
    assert [found.task for found in findings(results)] == ["clip duration", "digit"]
    assert findings([r for r in results if r.mode != "soft"]) == []


def test_a_descriptor_is_told_in_words(results: list[Result]) -> None:
    said = asked(results, pitch_shift=0.9, time_shift=0.1, white_noise=1.0)
    assert said == "to ignore pitch shift and white noise and to follow time shift"
    assert asked(results, pitch_shift=0.5) == "for no component clearly"


def test_gains_are_paired_by_seed_with_students_interval(results: list[Result]) -> None:
    values = {"amortised": [0.80, 0.84, 0.91], "simclr": [0.70, 0.71, 0.74]}
    given = [
        replace(r, value=values["amortised" if r.mode == "soft" else "simclr"][r.seed])
        for r in results
    ]
    gain = of(given, "digit").gained[1]

    interval = ttest_rel(values["amortised"], values["simclr"]).confidence_interval()
    half = 100 * (interval.high - interval.low) / 2
    assert gain == f"13.3 points better than SimCLR (± {half:.1f} points)"
    assert np.isclose(half, 8.7, atol=0.1)


def test_a_loss_and_a_doubt_are_said(results: list[Result]) -> None:
    wobbling = {0: 0.5, 1: 0.9, 2: 0.6}
    worse = [replace(r, value=wobbling[r.seed]) if r.mode == "soft" else r for r in results]
    gained = of(worse, "digit").gained
    assert all("worse than" in each and "which may be chance" in each for each in gained)


def test_one_seed_has_no_interval_and_what_is_not_there_is_not_told(results: list[Result]) -> None:
    one = [r for r in results if r.seed == 0 and r.method == "amortised"]
    assert of(one, "digit").gained == (
        "10.0 points better than the same encoder, all on (one seed)",
    )


def test_no_difference_is_neither_better_nor_worse(results: list[Result]) -> None:
    one = [replace(r, value=0.5) for r in results if r.seed == 0 and r.method == "amortised"]
    assert of(one, "digit").gained == ("as good as the same encoder, all on (one seed)",)


def test_the_level_of_most_weight_is_named(results: list[Result]) -> None:
    deep = [replace(r, depth={"level 0": 0.2, "level 1": 0.5, "level 2": 0.3}) for r in results]
    assert of(deep, "digit").looked == "level 1 (50 % of the weight)"
    flat = [replace(r, depth={"level 0": 0.6, "level 1": 0.4}) for r in results]
    assert of(flat, "digit").looked == "the spectrum (60 % of the weight)"
