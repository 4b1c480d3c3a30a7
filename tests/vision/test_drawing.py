"""Spirograph images against the equations, written out by point; gradients in every factor."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator
from audioinv.data.factors import draw
from vision.drawing import FACTORS, TARGETS, render


def drawn(n: int, seed: int = 0) -> Tensor:
    """Factors (n, 10) in double precision."""
    return torch.stack(list(draw(FACTORS, n, generator(seed, "test")).values()), 1).double()


def one_image(values: dict[str, float], size: int) -> list[list[list[float]]]:
    """[channel][row][column] of one image, one pixel and one point at a time."""
    m, b, h, sigma = (values[name] for name in ("m", "b", "h", "sigma"))
    a = m + b - h
    weights, tops = [], [0.0] * size
    for row in range(size):
        for column in range(size):
            px = -6 + 12 * column / (size - 1)
            py = -6 + 12 * row / (size - 1)
            total = 0.0
            for k in range(40):
                t = 2 * math.pi * k / 39
                x = (a - b) * math.cos(t) + h * math.cos(t * (a - b) / b)
                y = (a - b) * math.sin(t) - h * math.sin(t * (a - b) / b)
                total += math.exp(-((px - x) ** 2 + (py - y) ** 2) / sigma)
            weights.append(total / 40)
            tops[column] = max(tops[column], total / 40)
    weights = [w / (tops[k % size] + 1e-8) for k, w in enumerate(weights)]
    image = []
    for colour in ("red", "green", "blue"):
        front, back = values[f"foreground_{colour}"], values[f"background_{colour}"]
        blended = [w * front + (1 - w) * back for w in weights]
        image.append([blended[size * row : size * (row + 1)] for row in range(size)])
    return image


@pytest.mark.parametrize("size", [9, 32])
def test_images_are_those_of_the_equations(size: int) -> None:
    factors = drawn(4)
    for row, image in zip(factors, render(factors, size), strict=True):
        values = dict(zip(FACTORS, row.tolist(), strict=True))
        expected = torch.tensor(one_image(values, size), dtype=torch.float64)
        assert torch.allclose(image, expected, atol=1e-12)


def test_the_ranges_are_the_published_ones() -> None:
    ranges = {name: (factor.low, factor.high) for name, factor in FACTORS.items()}
    assert ranges["m"] == (2, 5) and ranges["b"] == (0.1, 1.1)
    assert ranges["h"] == (0.5, 2.5) and ranges["sigma"] == (0.25, 1)
    for colour in ("red", "green", "blue"):
        assert ranges[f"foreground_{colour}"] == (0.4, 1)
        assert ranges[f"background_{colour}"] == (0, 0.6)
    assert TARGETS == ("m", "b", "sigma", "foreground_red")
    values = drawn(4000)
    low, high = values.min(0).values, values.max(0).values
    for k, (least, most) in enumerate(ranges.values()):
        span = most - least
        assert least <= low[k] < least + 0.01 * span and most - 0.01 * span < high[k] <= most


def test_an_image_depends_on_no_other_and_lies_in_0_to_1() -> None:
    factors = drawn(50).float()
    images = render(factors)
    assert images.shape == (50, 3, 32, 32) and images.dtype == torch.float32
    assert images.min() >= 0 and images.max() <= 1
    assert torch.equal(render(factors[7:9]), images[7:9])


@pytest.mark.parametrize("name", FACTORS)
def test_the_gradient_of_every_factor_is_its_finite_difference(name: str) -> None:
    column, step = list(FACTORS).index(name), 1e-6
    weights = torch.randn(3, 12, 12, generator=generator(1, "weights"), dtype=torch.float64)
    factors = drawn(5, seed=3).requires_grad_()
    (gradient,) = torch.autograd.grad((render(factors, 12) * weights).sum(), factors)
    shifted = [factors.detach().clone() for _ in range(2)]
    shifted[0][:, column] += step
    shifted[1][:, column] -= step
    up, down = ((render(x, 12) * weights).flatten(1).sum(1) for x in shifted)
    assert torch.allclose(gradient[:, column], (up - down) / (2 * step), rtol=1e-5, atol=1e-7)
    assert gradient[:, column].abs().min() > 0


def test_second_derivatives_too() -> None:
    """The penalty of InvCLR differentiates a gradient once more."""
    factors = drawn(2, seed=5).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: render(x, 6), (factors,), atol=1e-4)


def test_factors_of_another_shape_are_refused() -> None:
    with pytest.raises(UserError, match=r"\(n, 10\).*m, b, h, sigma.*\(3, 9\)"):
        render(torch.zeros(3, 9))
