"""Adam's step by a gradient that is a product of two factors, in one pass over memory.

The gradient is multiplied out a piece at a time and never leaves the processor's cache, so a step
reads and writes parameters and moments once and nothing else: it takes no longer than torch's fused
Adam with the gradient there already.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

ROUNDING = {"reassoc", "contract", "arcp", "nsz"}  # may round otherwise than written
PIECE = 2048  # numbers of a gradient that are multiplied out at a time


def applies(values: Tensor) -> bool:
    """Whether `step` can change these parameters."""
    return values.device.type == "cpu" and values.dtype in (torch.float32, torch.float64)


def step(
    tensors: tuple[Tensor, Tensor, Tensor],
    h: Tensor,
    g: Tensor,
    count: int,
    group: Mapping[str, Any],
) -> None:
    """Adam's step number `count` by the gradient h^T g, in place, on as many threads as torch has.

    Args:
        tensors: parameters and their first and second moments, (J, N), contiguous, on the CPU, in
            single or double precision, as are h: (R, J), and g: (R, N).
        group: of `torch.optim.Adam`: lr, betas, eps, weight_decay, decoupled_weight_decay.
    """
    arrays = [t.detach().numpy() for t in (*tensors, h.T.contiguous())]
    factor = g.detach().contiguous().numpy()
    numbers = tuple(factor.dtype.type(number) for number in _numbers(count, group))
    threads = min(torch.get_num_threads(), h.shape[1])
    size = -(-h.shape[1] // threads)

    def some(first: int) -> None:
        _rows(*(array[first : first + size] for array in arrays), factor, numbers)

    if threads == 1:
        return some(0)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(some, range(0, h.shape[1], size)))


def _numbers(count: int, group: Mapping[str, Any]) -> tuple[float, ...]:
    """What `_row` calls `numbers`."""
    first, second = (float(beta) for beta in group["betas"])
    lr, decay = float(group["lr"]), float(group["weight_decay"])
    decoupled = group["decoupled_weight_decay"]
    rate, scale = lr / (1 - first**count), 1 / math.sqrt(1 - second**count)
    shrink, pull = (1 - lr * decay, 0.0) if decoupled else (1.0, decay)
    return (first, 1 - first, second, 1 - second, rate, scale, float(group["eps"]), shrink, pull)


def _kernel(function: Any) -> Any:
    # numpy's division: one that looks for zeros first is not done on many numbers at once
    return njit(cache=True, nogil=True, fastmath=ROUNDING, error_model="numpy")(function)


@_kernel
def _rows(values, first, second, h, g, numbers):  # type: ignore[no-untyped-def]
    """All but `g` are rows of the same bases."""
    gradient = np.empty(PIECE, g.dtype)
    for j in range(len(values)):
        for start in range(0, values.shape[1], PIECE):
            piece = slice(start, min(start + PIECE, values.shape[1]))
            part = gradient[: piece.stop - start]
            _multiple(g[0, piece], h[j, 0], part)
            for r in range(1, len(g)):
                _add_multiple(g[r, piece], h[j, r], part)
            _row(values[j, piece], first[j, piece], second[j, piece], part, numbers)


@_kernel
def _multiple(g, factor, out):  # type: ignore[no-untyped-def]
    for n in range(len(out)):
        out[n] = factor * g[n]


@_kernel
def _add_multiple(g, factor, out):  # type: ignore[no-untyped-def]
    for n in range(len(out)):
        out[n] += factor * g[n]


@_kernel
def _row(values, first, second, gradient, numbers):  # type: ignore[no-untyped-def]
    keep1, new1, keep2, new2, rate, scale, eps, shrink, pull = numbers
    for n in range(len(values)):
        slope = gradient[n] + pull * values[n]
        mean = keep1 * first[n] + new1 * slope
        square = keep2 * second[n] + new2 * (slope * slope)
        first[n] = mean
        second[n] = square
        values[n] = shrink * values[n] - rate * mean / (np.sqrt(square) * scale + eps)
