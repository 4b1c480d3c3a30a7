"""Scores against what a protocol varies, from result.json to tables and page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audioinv.base.errors import UserError
from audioinv.report import results_table, write_report
from audioinv.report.collect import read_experiment
from audioinv.report.curves import lines, protocols_with_curves

X = [0, 1, 10]


def write(folder: Path, method: str, seed: int, curves: dict[str, Any], **more: Any) -> None:
    path = folder / f"{method}_s{seed}" / "tasks" / "width" / "fixed_all" / "averaging"
    path.mkdir(parents=True)
    row = {"protocol": "averaging-v1 M=10", "task": "width", "method": method, "label": method}
    row |= {"mode": "fixed:all", "metric": "mse", "value": 0.002, "seed": seed}
    row |= {"x_name": "encodings averaged", "curves": curves, "n_test": 9, "chance": 0.5}
    (path / "result.json").write_text(json.dumps(row | more))


@pytest.fixture
def averaged(tmp_path: Path) -> Path:
    for seed, shift in enumerate((0.0, 0.002)):
        values = [0.030 + shift, 0.020 + shift, 0.010 + shift]
        write(tmp_path, "simclr", seed, {"": {"x": X, "value": values}})
    write(tmp_path, "random", 0, {"": {"x": X, "value": [0.4, 0.5, 0.3]}})
    return tmp_path


def test_curves_are_means_and_deviations_over_seeds(averaged: Path) -> None:
    results = protocols_with_curves(read_experiment(averaged).results)
    simclr, untrained = lines(results["averaging-v1 M=10"])
    assert (simclr.label, untrained.label) == ("simclr", "random")
    assert simclr.mean.tolist() == pytest.approx([0.031, 0.021, 0.011])
    assert simclr.spread.tolist() == pytest.approx([np.std([0, 0.002], ddof=1)] * 3)
    assert untrained.spread.tolist() == [0, 0, 0]


def test_the_table_has_a_column_for_each_point(averaged: Path) -> None:
    told = results_table(averaged).splitlines()
    assert "| encodings averaged | 0 | 1 | 10 |" in told
    assert "| width (MSE, 10⁻³): simclr | 31.00 ± 1.41 | 21.00 ± 1.41 | 11.00 ± 1.41 |" in told
    assert "| width (MSE, 10⁻³): random | 400.00 | 500.00 | 300.00 |" in told


def test_several_augmentations_get_a_table_of_their_ends(tmp_path: Path) -> None:
    strengths = [0.0, 1.0]
    curves = {
        name: {"x": strengths, "value": [0.9, end]}
        for name, end in (("pitch_shift", 0.5), ("fade", 0.8), ("all together", 0.4))
    }
    more = {"protocol": "robustness-v1 strength 1", "x_name": "strength", "metric": "accuracy"}
    write(tmp_path, "simclr", 0, curves, **more)
    told = results_table(tmp_path).splitlines()
    assert "| strength, all together | 0 | 1 |" in told
    assert "| width (accuracy, %): simclr | 90.0 | 40.0 |" in told
    assert "| strength 1, each alone | pitch shift | fade | all together |" in told
    assert "| width (accuracy, %): simclr | 50.0 | 80.0 | 40.0 |" in told


def test_the_page_shows_the_curves_and_says_them_in_words(averaged: Path) -> None:
    page = write_report(averaged).read_text()
    assert "width, simclr: 31.00 to 11.00" in page
    assert "MSE, 10⁻³ against encodings averaged" in page


def test_a_broken_curve_is_named(tmp_path: Path) -> None:
    write(tmp_path, "simclr", 0, {"": {"x": X, "value": [0.1]}})
    with pytest.raises(UserError, match=r"result\.json.*values.*x"):
        read_experiment(tmp_path)
