from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from audioinv.base.errors import UserError
from audioinv.core.objectives import moco_v2, moco_v3, nt_xent


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


def cosine(a: Tensor, b: Tensor) -> float:
    return float(a @ b / (a.norm() * b.norm()))


def naive_info_nce(query: Tensor, positive: Tensor, negatives: list[Tensor], tau: float) -> float:
    """Equation 1 of He et al. (2020), one query."""
    top = math.exp(cosine(query, positive) / tau)
    return -math.log(top / (top + sum(math.exp(cosine(query, k) / tau) for k in negatives)))


def naive_moco_v3(q1: Tensor, q2: Tensor, k1: Tensor, k2: Tensor, tau: float) -> float:
    """Algorithm 1 of Chen, Xie and He (2021), query by query."""
    total = 0.0
    for queries, keys in ((q1, k2), (q2, k1)):
        for b, query in enumerate(queries):
            others = [key for c, key in enumerate(keys) if c != b]
            total += 2 * tau * naive_info_nce(query, keys[b], others, tau) / len(queries)
    return total


@pytest.mark.parametrize("temperature", [0.07, 0.5, 2.0])
@pytest.mark.parametrize(("n", "size"), [(2, 1), (5, 3), (4, 8)])
def test_moco_v2_equals_the_loop(n: int, size: int, temperature: float) -> None:
    g = torch.Generator().manual_seed(n)
    query, key = torch.randn(2, n, 6, generator=g, dtype=torch.float64)
    queue = torch.nn.functional.normalize(torch.randn(size, 6, generator=g, dtype=torch.float64))
    loops = [
        naive_info_nce(q, k, list(queue), temperature) for q, k in zip(query, key, strict=True)
    ]
    assert float(moco_v2(query, key, queue, temperature)) == pytest.approx(
        sum(loops) / n, rel=1e-12
    )


@pytest.mark.parametrize(("n", "twins"), [(4, 2), (5, 2), (6, 1)])
def test_a_twin_is_one_more_negative_of_moco_v2(n: int, twins: int) -> None:
    g = torch.Generator().manual_seed(n)
    query, key = torch.randn(2, n, 6, generator=g, dtype=torch.float64)
    queue = torch.nn.functional.normalize(torch.randn(8, 6, generator=g, dtype=torch.float64))
    of = {b: n - twins + b for b in range(twins)} | {n - twins + b: b for b in range(twins)}
    loops = [
        naive_info_nce(query[b], key[b], [*queue, *([key[of[b]]] if b in of else [])], 0.3)
        for b in range(n)
    ]
    assert float(moco_v2(query, key, queue, 0.3, twins)) == pytest.approx(sum(loops) / n, rel=1e-12)


@pytest.mark.parametrize("temperature", [0.07, 0.5, 2.0])
@pytest.mark.parametrize("n", [2, 5])
def test_moco_v3_equals_the_loop(n: int, temperature: float) -> None:
    g = torch.Generator().manual_seed(n)
    batches = torch.randn(4, n, 6, generator=g, dtype=torch.float64)
    assert float(moco_v3(*batches, temperature)) == pytest.approx(
        naive_moco_v3(*batches, temperature), rel=1e-12
    )


def test_gradients_of_momentum_contrast_equal_finite_differences() -> None:
    g = torch.Generator().manual_seed(0)
    q1, q2, k1, k2 = torch.randn(4, 3, 4, generator=g, dtype=torch.float64)
    queue = torch.nn.functional.normalize(k2)
    check = torch.autograd.gradcheck
    assert check(lambda q: moco_v2(q, k1, queue, 0.5), q1.requires_grad_())
    assert check(lambda a, b: moco_v3(a, b, k1, k2, 0.5), (q1, q2.requires_grad_()))


@pytest.mark.parametrize(
    ("shapes", "temperature", "message"),
    [
        (((3, 4), (3, 5), (6, 4)), 0.1, "equal .B, d. batches"),
        (((1, 4), (1, 4), (6, 4)), 0.1, "B >= 2"),
        (((3, 4), (3, 4), (6, 5)), 0.1, r"\(Q, 4\).*Q >= 1.*\(6, 5\)"),
        (((3, 4), (3, 4), (0, 4)), 0.1, r"got \(0, 4\)"),
        (((3, 4), (3, 4), (6, 4)), 0.0, r"temperature.*0\.0.*above 0"),
        (((3, 4), (3, 4), (3, 4), (2, 4)), 0.1, "equal .B, d. batches"),
        (((3, 4), (3, 4), (3, 4), (3, 4)), -1.0, "temperature is -1.0"),
    ],
)
def test_momentum_contrast_refuses_bad_input(
    shapes: tuple[tuple[int, int], ...], temperature: float, message: str
) -> None:
    objective = moco_v2 if len(shapes) == 3 else moco_v3
    with pytest.raises(UserError, match=message):
        objective(*(torch.randn(shape) for shape in shapes), temperature)


@pytest.mark.parametrize("chunk", [1, 3, 16, 100])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_chunks_give_the_values_and_gradients_of_the_whole(chunk: int, dtype: torch.dtype) -> None:
    g = torch.Generator().manual_seed(chunk)
    a, b = torch.randn(2, 16, 6, generator=g, dtype=dtype)
    found = []
    for size in (0, chunk):
        views = [x.clone().requires_grad_() for x in (a, b)]
        loss = nt_xent(*views, 0.2, size)
        found.append([loss.detach(), *torch.autograd.grad(loss, views)])
    for whole, parts in zip(*found, strict=True):
        torch.testing.assert_close(parts, whole, rtol=1e-6, atol=1e-6)


class Largest(TorchDispatchMode):
    """How many numbers the largest result of any operation has."""

    numel = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.numel = max(self.numel, result.numel())
        return result


@pytest.mark.parametrize(("chunk", "numbers"), [(0, 128 * 128), (8, 8 * 128)])
def test_chunks_are_all_that_stands_in_memory(chunk: int, numbers: int) -> None:
    """Forward and backward."""
    a, b = torch.randn(2, 64, 6).requires_grad_().unbind()
    with Largest() as largest:
        nt_xent(a, b, 0.2, chunk).backward()
    assert largest.numel == numbers
