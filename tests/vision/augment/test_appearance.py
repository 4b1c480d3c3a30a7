"""Colour jitter, hue, grayscale, solarise and blur against torchvision, scipy and colorsys."""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from scipy.ndimage import gaussian_filter
from scipy.stats import kstest
from torch import Tensor

from vision.augment import Blur, ColourJitter, Grayscale, Hue, Solarise

Pictures = Callable[..., Tensor]
DRAWN = {
    ColourJitter: [(0.6, 1.4), (0.6, 1.4), (0.8, 1.2), (-0.1, 0.1)],
    Hue: [(-0.25, 0.25)],
    Blur: [(0.1, 2.0)],
}


@given(
    brightness=st.floats(0, 2),
    contrast=st.floats(0, 2),
    saturation=st.floats(0, 2),
    hue=st.floats(-0.5, 0.5),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_jitter_is_torchvision_s_in_its_order(
    brightness: float,
    contrast: float,
    saturation: float,
    hue: float,
    seed: int,
    pictures: Pictures,
) -> None:
    x = pictures(1, 12, 10, seed, dtype=torch.float64)
    params = torch.tensor([[brightness, contrast, saturation, hue]], dtype=torch.float64)
    y = ColourJitter().apply(x, params)
    expected = reference.adjust_brightness(x, brightness)
    expected = reference.adjust_contrast(expected, contrast)
    expected = reference.adjust_saturation(expected, saturation)
    expected = reference.adjust_hue(expected, hue)
    torch.testing.assert_close(y, expected, atol=2e-3, rtol=0)  # grey weights of 3 and 4 digits


@pytest.mark.parametrize("turns", [-0.5, -0.2, 0.05, 1 / 3])
def test_hue_moves_around_the_colour_circle_only(turns: float, pictures: Pictures) -> None:
    x = pictures(1, 6, 6, dtype=torch.float64)
    y = Hue().apply(x, torch.tensor([[turns]], dtype=torch.float64))
    for before, after in zip(x[0].flatten(1).T.tolist(), y[0].flatten(1).T.tolist(), strict=True):
        h, s, v = colorsys.rgb_to_hsv(*before)
        assert after == pytest.approx(colorsys.hsv_to_rgb((h + turns) % 1, s, v), abs=1e-6)


def test_jitter_may_change_the_hue_alone(pictures: Pictures) -> None:
    x, turns = pictures(2, 8, 8), torch.tensor([[0.1], [-0.3]])
    jittered = ColourJitter().apply(x, torch.cat([torch.ones(2, 3), turns], 1))
    torch.testing.assert_close(jittered, Hue().apply(x, turns), atol=1e-6, rtol=0)


def test_a_third_of_a_turn_makes_red_green_and_grey_stays_grey() -> None:
    red_and_grey = torch.tensor([[1.0, 0.4], [0.0, 0.4], [0.0, 0.4]]).view(1, 3, 1, 2)
    y = Hue(-0.5, 0.5).apply(red_and_grey, torch.tensor([[1 / 3]])).view(3, 2)
    torch.testing.assert_close(y[:, 0], torch.tensor([0.0, 1.0, 0.0]), atol=1e-5, rtol=0)
    torch.testing.assert_close(y[:, 1], torch.full((3,), 0.4))


def test_grayscale_is_torchvision_s_and_mixes_in_between(pictures: Pictures) -> None:
    x = pictures(1, 9, 9).expand(3, -1, -1, -1)
    y = Grayscale().apply(x, torch.tensor([[1.0], [0.0], [0.25]]))
    grey = reference.rgb_to_grayscale(x[:1], num_output_channels=3)[0]
    torch.testing.assert_close(y[0], grey, atol=2e-4, rtol=0)
    torch.testing.assert_close(y[2], 0.75 * x[0] + 0.25 * grey, atol=2e-4, rtol=0)
    assert (Grayscale().sample(9, torch.Generator()) == 1).all()


def test_solarise_is_pillow_s_on_bytes() -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    expected = np.asarray(ImageOps.solarize(Image.fromarray(values)))  # from 128 on
    x = torch.tensor(values).float().expand(1, 3, -1, -1) / 255
    y = Solarise().apply(x, Solarise().sample(1, torch.Generator()))
    assert np.array_equal((255 * y[0, 0]).round().numpy(), expected)


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.99])
def test_solarise_inverts_what_is_above_each_threshold(
    threshold: float, pictures: Pictures
) -> None:
    x = pictures(2, 8, 8)
    y = Solarise(0, 1).apply(x, torch.tensor([[threshold], [1.0]]))
    torch.testing.assert_close(y[0], reference.solarize(x[0], threshold))
    assert torch.equal(y[1], x[1])


@given(sigma=st.floats(0.05, 2.0), height=st.integers(9, 24), width=st.integers(9, 24))
@settings(max_examples=30, deadline=None)
def test_blur_is_scipy_s_gaussian_filter(
    sigma: float, height: int, width: int, pictures: Pictures
) -> None:
    x = pictures(1, height, width, dtype=torch.float64)
    y = Blur().apply(x, torch.tensor([[sigma]], dtype=torch.float64))
    expected = gaussian_filter(x[0].numpy(), (0, sigma, sigma), mode="mirror", radius=8)
    np.testing.assert_allclose(y[0].numpy(), expected, atol=1e-9)


def test_blur_widens_a_point_by_its_sigma_example_by_example() -> None:
    x = torch.zeros(3, 3, 41, 41)
    x[:, :, 20, 20] = 1.0
    y = Blur().apply(x, torch.tensor([[1.0], [1.5], [2.0]]))
    squared = (torch.arange(41.0) - 20).square()
    variance = (y.sum(2) * squared).sum(-1) / y.sum((2, 3))
    torch.testing.assert_close(variance[:, 0], torch.tensor([1.0, 2.25, 4.0]), rtol=0.01, atol=0)
    torch.testing.assert_close(y.sum((2, 3)), torch.ones(3, 3))


@pytest.mark.parametrize("kind", DRAWN)
def test_parameters_are_drawn_uniformly(kind: type) -> None:
    rows = kind().sample(4000, torch.Generator().manual_seed(0))
    for column, (low, high) in zip(rows.T, DRAWN[kind], strict=True):
        assert kstest(column.numpy(), "uniform", (low, high - low)).pvalue > 1e-3
