"""Crop, rotation, flip and cutout against torchvision, closed forms and naive loops."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torchvision.transforms.v2.functional as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp, kstest
from torch import Tensor
from torchvision.transforms import InterpolationMode, RandomResizedCrop

from vision.augment import Crop, Cutout, HorizontalFlip, Rotation

Pictures = Callable[..., Tensor]


def box(left: float, top: float, width: float, height: float, image: Tensor) -> Tensor:
    """The crop parameters (1, 4) of a box in pixels of `image` (..., H, W)."""
    across, down = width / image.shape[-1], height / image.shape[-2]
    x, y = left / image.shape[-1] + across / 2, top / image.shape[-2] + down / 2
    row = torch.tensor([[across * down, across / down, x, y]], dtype=torch.float64)
    row[:, 1].log_()
    return row


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_crop_is_torchvision_s_resized_crop(data: st.DataObject, pictures: Pictures) -> None:
    x = pictures(1, 40, 48, dtype=torch.float64)
    width, height = data.draw(st.integers(8, 48)), data.draw(st.integers(8, 40))
    left = data.draw(st.integers(0, 48 - width))
    top = data.draw(st.integers(0, 40 - height))
    y = Crop().apply(x, box(left, top, width, height, x))
    expected = reference.resized_crop(x, top, left, height, width, [40, 48], antialias=True)
    # torchvision repeats the pixels at the edge of the box, where we read on: half a source pixel
    rows, columns = -(-20 // height), -(-24 // width)
    inner = (..., slice(rows, 40 - rows), slice(columns, 48 - columns))
    torch.testing.assert_close(y[inner], expected[inner], atol=1e-9, rtol=0)


def test_a_crop_of_a_ramp_shows_where_it_was_taken() -> None:
    ramp = (torch.arange(64.0) + 0.5) / 64
    x = torch.stack([ramp.expand(64, 64), ramp[:, None].expand(64, 64), ramp.expand(64, 64)])
    crop = Crop()
    params = crop.sample(200, torch.Generator().manual_seed(0))
    y = crop.apply(x.expand(200, -1, -1, -1), params)[:, :, 2:-2, 2:-2]  # a ramp ends at its edges
    torch.testing.assert_close(y[:, :2].mean((2, 3)), params[:, 2:], atol=1e-3, rtol=0)
    span = y[:, 0].amax((1, 2)) - y[:, 0].amin((1, 2))
    across = (params[:, 0] * params[:, 1].exp()).sqrt()
    torch.testing.assert_close(span, across * 59 / 64, atol=6e-3, rtol=0)


def test_drawn_boxes_are_those_of_torchvision() -> None:
    n, side = 4000, 10_000  # torchvision rounds to pixels
    rows = Crop().sample(n, torch.Generator().manual_seed(0))
    across, down = (rows[:, 0] * rows[:, 1].exp()).sqrt(), (rows[:, 0] / rows[:, 1].exp()).sqrt()
    left, top = rows[:, 2] - across / 2, rows[:, 3] - down / 2
    eps = 1e-6
    assert (left > -eps).all() and (left + across < 1 + eps).all()
    assert (top > -eps).all() and (top + down < 1 + eps).all()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        image = torch.empty(1, side, side, device="meta")
        theirs = torch.tensor(
            [RandomResizedCrop.get_params(image, (0.08, 1.0), (3 / 4, 4 / 3)) for _ in range(n)]
        )
    ours = torch.stack([top, left, down, across], 1)
    for a, b in zip(ours.T, (theirs / side).T, strict=True):
        assert ks_2samp(a.numpy(), b.numpy()).pvalue > 1e-3


def test_ratios_that_never_fit_become_one() -> None:
    rows = Crop(min_scale=1.0, max_scale=1.0).sample(50, torch.Generator().manual_seed(0))
    torch.testing.assert_close(rows, torch.tensor([[1.0, 0.0, 0.5, 0.5]]).expand(50, -1))


@pytest.mark.parametrize("kind", [Crop, Rotation, HorizontalFlip])
def test_a_uniform_image_has_no_edge_to_show(kind: type) -> None:
    x = torch.tensor([0.2, 0.6, 1.0]).view(1, 3, 1, 1).expand(100, 3, 11, 14)
    y = kind().apply(x, kind().sample(100, torch.Generator().manual_seed(0)))
    torch.testing.assert_close(y, x)


@pytest.mark.parametrize("quarters", [-1, 1, 2])
@pytest.mark.parametrize("side", [12, 13])
def test_quarter_turns_are_exact_and_counter_clockwise(
    quarters: int, side: int, pictures: Pictures
) -> None:
    x = pictures(2, side, side, dtype=torch.float64)
    y = Rotation().apply(x, torch.full((2, 1), 90.0 * quarters))
    torch.testing.assert_close(y, x.rot90(quarters, (2, 3)), atol=1e-9, rtol=0)


@pytest.mark.parametrize("size", [(40, 40), (33, 48)])
@pytest.mark.parametrize("degrees", [-28.0, -3.0, 11.0, 30.0])
def test_the_inside_is_torchvision_s_rotation(
    degrees: float, size: tuple[int, int], pictures: Pictures
) -> None:
    x = 0.3 + 0.7 * pictures(1, *size, dtype=torch.float64)
    y = Rotation().apply(x, torch.tensor([[degrees]]))
    expected = reference.rotate(x, degrees, InterpolationMode.BILINEAR, fill=[0.0])
    seen = reference.rotate(torch.ones_like(x), degrees, InterpolationMode.BILINEAR, fill=[0.0])
    inside = seen > 1 - 1e-9
    assert inside.float().mean() > 0.5
    torch.testing.assert_close(y[inside], expected[inside], atol=1e-5, rtol=0)
    assert y.min() > 0.29  # no black corners


def test_half_of_the_flips_mirror() -> None:
    flip, x = HorizontalFlip(), torch.arange(12.0).view(1, 1, 2, 6).expand(400, 3, -1, -1) / 12
    params = flip.sample(400, torch.Generator().manual_seed(0))
    y = flip.apply(x, params)
    flipped = (y == reference.horizontal_flip(x)).flatten(1).all(1)
    assert 160 < flipped.sum() < 240 and torch.equal(flipped, params[:, 0] == 1)
    assert torch.equal(y[~flipped], x[~flipped])


@given(
    size=st.floats(0, 1),
    x=st.floats(0, 1),
    y=st.floats(0, 1),
    height=st.integers(1, 12),
    width=st.integers(1, 12),
)
@settings(max_examples=50, deadline=None)
def test_cutout_covers_the_pixels_in_its_square(
    size: float, x: float, y: float, height: int, width: int, pictures: Pictures
) -> None:
    image = pictures(1, height, width)
    params = torch.tensor([[size, x, y]], dtype=torch.float64)
    found = Cutout().apply(image, params)[0]
    half = size * min(height, width) / 2
    for i in range(height):
        for j in range(width):
            inside = abs(i + 0.5 - y * height) < half and abs(j + 0.5 - x * width) < half
            expected = torch.full((3,), 0.5) if inside else image[0, :, i, j]
            assert torch.equal(found[:, i, j], expected)


def test_cutout_squares_are_spread_over_the_image() -> None:
    rows = Cutout().sample(4000, torch.Generator().manual_seed(0)).numpy()
    assert kstest(rows[:, 0], "uniform", (0.25, 0.25)).pvalue > 1e-3
    assert all(kstest(column, "uniform").pvalue > 1e-3 for column in rows[:, 1:].T)
