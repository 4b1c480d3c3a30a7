from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from audioinv.core.errors import UserError
from audioinv.core.objectives import nt_xent


def naive_nt_xent(first: Tensor, second: Tensor, temperature: float) -> float:
    """Equation 1 of Chen et al. (2020), pair by pair."""
    z = torch.cat([first, second])
    n = len(first)

    def s(i: int, j: int) -> float:
        return float(z[i] @ z[j] / (z[i].norm() * z[j].norm())) / temperature

    total = 0.0
    for i in range(2 * n):
        j = (i + n) % (2 * n)
        denominator = sum(math.exp(s(i, k)) for k in range(2 * n) if k != i)
        total += -math.log(math.exp(s(i, j)) / denominator)
    return total / (2 * n)


@pytest.mark.parametrize("temperature", [0.07, 0.5, 2.0])
@pytest.mark.parametrize("n", [2, 5])
def test_equals_the_double_loop(n: int, temperature: float) -> None:
    g = torch.Generator().manual_seed(n)
    a, b = torch.randn(2, n, 6, generator=g, dtype=torch.float64)
    assert float(nt_xent(a, b, temperature)) == pytest.approx(
        naive_nt_xent(a, b, temperature), rel=1e-12
    )


def test_gradient_equals_finite_differences() -> None:
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 3, 4, generator=g, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x, y: nt_xent(x, y, 0.5), (a.requires_grad_(), b))


def test_scale_of_a_projection_does_not_matter() -> None:
    g = torch.Generator().manual_seed(1)
    a, b = torch.randn(2, 4, 8, generator=g)
    torch.testing.assert_close(nt_xent(a, b), nt_xent(3 * a, 0.1 * b))


@pytest.mark.parametrize(
    ("shapes", "temperature"),
    [(((1, 4), (1, 4)), 0.1), (((3, 4), (3, 5)), 0.1), (((3, 4), (3, 4)), 0)],
)
def test_bad_input_is_refused(shapes: tuple[tuple[int, int], ...], temperature: float) -> None:
    with pytest.raises(UserError):
        nt_xent(torch.randn(shapes[0]), torch.randn(shapes[1]), temperature)
