"""Ridge regression whose strength is chosen by exact leave-one-out, in closed form.

With centred X = P V^T (P orthogonal columns of squared length s_j), the fit at strength a is
P diag(1 / (s + a)) P^T y, example i has leverage h_i = 1/n + sum_j P_ij^2 / (s_j + a), and leaving
it out changes its residual to r_i / (1 - h_i) (Hastie, Tibshirani and Friedman, 2009, eq. 7.64).

scikit-learn's RidgeCV does the same from a singular value decomposition of X. The eigenvectors of
the smaller of X^T X and X X^T cost a seventh of that (2,700 x 1,344), and an adaptation fits
hundreds of readouts.
"""

from __future__ import annotations

import numpy as np
import torch

STRENGTHS = np.logspace(-2, 6, 17)


def fit_ridge(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """The ridge regression of least mean squared leave-one-out error among `STRENGTHS`.

    Args:
        x: features (n, d), float64. y: targets (n, m), which share one strength.

    Returns:
        weight (m, d), bias (m,), which is not penalised, and the strength.
    """
    mean_x, mean_y = x.mean(0), y.mean(0)
    x, y = x - mean_x, y - mean_y
    columns, squares = _orthogonal_columns(x)
    projected = columns.T @ y
    shrunk = 1 / (squares[:, None] + STRENGTHS)  # (j, strengths)
    errors = np.zeros(len(STRENGTHS))
    for rows in _parts(len(x), y.shape[1] + x.shape[1]):
        own = columns[rows]
        kept = np.maximum(1 - 1 / len(x) - own**2 @ shrunk, 1e-12)  # 1 - h, (r, strengths)
        for k, s in enumerate(shrunk.T):
            residual = y[rows] - own @ (projected * s[:, None])
            errors[k] += np.square(residual / kept[:, k, None]).sum()
    best = int(np.argmin(errors))
    residual = y - columns @ (projected * shrunk[:, best, None])
    weight = residual.T @ x / STRENGTHS[best]  # X^T (X X^T + a)^-1 y
    return weight, mean_y - weight @ mean_x, float(STRENGTHS[best])


def _parts(n: int, width: int, most: int = 1 << 24) -> list[slice]:
    """Rows 0 to n in parts of at most so many numbers, of rows of `width`."""
    step = max(1, most // width)
    return [slice(start, start + step) for start in range(0, n, step)]


def _orthogonal_columns(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """P (n, min(n, d)) of x = P V^T, and the squared lengths of its columns."""
    n, d = x.shape
    if n > d:
        squares, v = _eigh(x.T @ x)
        return x @ v, squares
    squares, u = _eigh(x @ x.T)
    return u * np.sqrt(squares), squares


def _eigh(square: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Torch's, which takes a third to two thirds of the time of numpy's (d = 2,400)."""
    values, vectors = torch.linalg.eigh(torch.from_numpy(square))
    return values.clamp_min(0).numpy(), vectors.numpy()
