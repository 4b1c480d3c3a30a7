"""What the figures show, against independent calculations."""

from __future__ import annotations

import numpy as np
import pytest

from audioinv.report import figures


def test_smoothing_is_the_mean_of_each_window() -> None:
    losses = np.random.default_rng(0).normal(size=120)
    steps, smooth = figures.smooth(list(zip(range(0, 600, 5), losses, strict=True)))
    windows = [losses[i : i + 3] for i in range(118)]
    assert smooth == pytest.approx([window.mean() for window in windows])
    assert steps == pytest.approx(np.arange(5, 595, 5))


def test_short_curve_is_drawn_as_it_is() -> None:
    steps, smooth = figures.smooth([(0, 5.0), (10, 4.0)])
    assert steps.tolist() == [0, 10] and smooth.tolist() == [5.0, 4.0]


def test_heat_map_labels_every_cell_and_colours_its_ends() -> None:
    mean, spread = np.array([[0.0, 1.0], [0.5, np.nan]]), np.full((2, 2), np.nan)
    axes = figures.descriptor_heat_map(["a", "b"], ["c", "d"], mean, spread).axes[0]
    assert [text.get_text() for text in axes.texts] == ["0.00", "1.00", "0.50", "–"]
    mesh = axes.collections[0]
    mesh.update_scalarmappable()
    orange, blue = mesh.get_facecolors()[:2, :3]
    assert orange[0] > orange[2] and blue[2] > blue[0]


def test_dots_show_the_mean_gap_over_seeds() -> None:
    on, off = {"a": [0.9, 0.8], "b": [0.5]}, {"a": [0.5, 0.6]}
    axes = figures.invariance_dots(["a", "b"], on, off, (0, 1)).axes[0]
    assert [text.get_text() for text in axes.texts] == ["+0.30", "gap"]
