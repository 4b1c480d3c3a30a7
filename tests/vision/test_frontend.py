"""Pixels: one mean and one deviation a channel, as numpy computes them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from audioinv.base.errors import UserError
from audioinv.data.modality import build_frontend
from vision.frontend import Pixels


def test_fitted_maps_have_mean_0_and_deviation_1_in_every_channel() -> None:
    x = torch.rand(20, 3, 8, 8) * torch.tensor([0.2, 0.5, 1.0])[:, None, None]
    frontend = Pixels(8)
    values = frontend.fit_statistics(x.split(7))
    np.testing.assert_allclose(values["mean"], x.numpy().mean((0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(values["std"], x.numpy().std((0, 2, 3)), rtol=1e-5)
    maps = frontend(x)
    assert maps.shape == (20, *frontend.output_size)
    torch.testing.assert_close(maps.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(maps.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-5, rtol=0)


def test_it_is_rebuilt_from_its_description() -> None:
    frontend = Pixels(16)
    frontend.set_statistics([0.1, 0.2, 0.3], [0.5, 0.6, 0.7])
    other = build_frontend(frontend.config)
    other.load_state_dict(frontend.state_dict())
    x = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(other(x), frontend(x))


@pytest.mark.parametrize(
    ("mean", "std", "said"),
    [
        ([0.1, 0.2], [1.0, 1.0, 1.0], "3 means"),
        ([0.1, 0.2, float("nan")], [1.0, 1.0, 1.0], "3 means"),
        ([0.1, 0.2, 0.3], [1.0, 0.0, 1.0], r"\[1\.0, 0\.0, 1\.0\]"),
    ],
)
def test_statistics_that_cannot_be_are_refused(
    mean: list[float], std: list[float], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        Pixels(8).set_statistics(mean, std)


def test_a_size_below_1_is_refused() -> None:
    with pytest.raises(UserError, match=r"image_size.*0"):
        Pixels(0)
