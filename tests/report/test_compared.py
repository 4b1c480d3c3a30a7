"""The table of a comparison."""

from __future__ import annotations

import math

import pytest

from audioinv.report.compared import interval_of_draws, marked, sheets_of_comparison
from audioinv.tasks.result import Result


def result(label: str, value: float, seed: int = 0, labels: str = "10", size: int = 4) -> Result:
    return Result(
        f"linear-v1, {labels} labels a class", "gm: pitch", "classification", "accuracy", value,
        "fixed:all", seed, interval=(value - 0.1, value + 0.1), chance=0.25, n_features=size,
        method=label, label=label,
    )  # fmt: skip


def test_the_interval_is_students() -> None:
    low, high = interval_of_draws([0.5, 0.6, 0.7])
    half = 4.302653 * 0.1 / math.sqrt(3)  # of two degrees of freedom, from a printed table
    assert (low, high) == pytest.approx((0.6 - half, 0.6 + half), abs=1e-6)


def test_equal_sizes_have_the_same_letter_and_spans_have_none() -> None:
    sizes = ["256", "1–9", "80", "256", "1–9", "40", "80"]
    assert marked(sizes) == ["256 a", "1–9", "80 b", "256 a", "1–9", "40", "80 b"]


def test_few_labels_come_first_and_the_best_has_a_star() -> None:
    every = [result(name, value, labels="all") for name, value in (("one", 0.5), ("two", 0.9))]
    few = [result(n, v, s) for n, v in (("one", 0.6), ("two", 0.4)) for s in (0, 1)]
    first, second = sheets_of_comparison([*every, *few])
    assert (first.title, second.title) == ("10 labels a class", "All labels a class")
    assert first.head == ["", "features", "gm: pitch (accuracy, %)"]
    assert [list(row) for row in first.rows] == [
        ["one", "4 a", "60.0* [60.0, 60.0]"],
        ["two", "4 a", "40.0 [40.0, 40.0]"],
        ["chance", "", "25.0"],
    ]
    assert second.rows[1][2] == "90.0* [80.0, 100.0]" and second.rows[0][2] == "50.0 [40.0, 60.0]"
    assert "over 2 draws" in first.note and "over test clips" in second.note
