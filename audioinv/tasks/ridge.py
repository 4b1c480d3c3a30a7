"""Ridge regression whose strength is chosen by exact leave-one-out, in closed form.

With centred X = P V^T (P orthogonal columns of squared length s_j), the fit at strength a is
P diag(1 / (s + a)) P^T y, example i has leverage h_i = 1/n + sum_j P_ij^2 / (s_j + a), and leaving
it out changes its residual to r_i / (1 - h_i) (Hastie, Tibshirani and Friedman, 2009, eq. 7.64).

scikit-learn's RidgeCV does the same from a singular value decomposition of X in double precision.
Here the smaller of X^T X and X X^T is decomposed, in single precision where that suffices to choose
a strength. The fit at this strength is solved in double: what the eigenvectors leave is computed in
double and solved for again, until nothing is left (iterative refinement: Higham, 2002, chapter 12).
"""

from __future__ import annotations

import numpy as np
import torch

STRENGTHS = np.logspace(-2, 6, 17)
ROUNDING = float(np.finfo(np.float32).eps)
"""Of the largest eigenvalue: smaller strengths single precision does not tell apart."""
EXCESS = 0.05
"""Times that, over a strength: by how much single precision makes the error there too large, as
against the next strength's (3% where FSDD has 3%)."""
LEAST_KEPT = 1e-3
"""A 1 - h below this is lost in single precision."""
LEAST_ERROR = 1e-2
"""Of the targets' variance: where less is left, rounding may be most of it."""


def fit_ridge(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """The ridge regression of least mean squared leave-one-out error among `STRENGTHS`.

    Args:
        x: features (n, d), float64. y: targets (n, m), which share one strength.

    Returns:
        weight (m, d), bias (m,), which is not penalised, and the strength.
    """
    mean_x, mean_y = x.mean(0), y.mean(0)
    x, y = x - mean_x, y - mean_y
    best, eigen, reliable = _choose(x.astype(np.float32), y.astype(np.float32))
    if not reliable:
        best, eigen, _ = _choose(x, y)
    weight = _solve(x, y, float(STRENGTHS[best]), *eigen)
    return weight, mean_y - weight @ mean_x, float(STRENGTHS[best])


def _choose(x: np.ndarray, y: np.ndarray) -> tuple[int, tuple[np.ndarray, np.ndarray], bool]:
    """The number of the best strength, what it was chosen by (eigenvalues and eigenvectors of the
    smaller of x^T x and x x^T), and whether single precision tells it from the next less."""
    n, d = x.shape
    vectors = _eigenvectors(x.T @ x if n > d else x @ x.T)
    turned = x @ vectors if n > d else x.T @ vectors
    squares = np.square(turned).sum(0)  # far more exact than the eigenvalues
    columns = turned if n > d else vectors * np.sqrt(squares)
    projected = columns.T @ y
    shrunk = (1 / (squares[:, None] + STRENGTHS)).astype(x.dtype)  # (j, strengths)
    errors, least = np.zeros(len(STRENGTHS)), np.ones(len(STRENGTHS))
    for rows in _parts(n, y.shape[1] + d):
        own = columns[rows]
        kept = np.maximum(1 - 1 / n - own**2 @ shrunk, 1e-12)  # 1 - h, (r, strengths)
        least = np.minimum(least, kept.min(0))
        for k, s in enumerate(shrunk.T):
            residual = y[rows] - own @ (projected * s[:, None])
            errors[k] += np.square(residual / kept[:, k, None]).sum()
    best = int(np.argmin(errors))
    less = max(best - 1, 0)
    doubt = ROUNDING * squares[-1] / STRENGTHS[less]
    differ = errors[less] * (1 - EXCESS * doubt) > errors[best] > LEAST_ERROR * np.square(y).sum()
    reliable = doubt < 1 and differ and least[less] > LEAST_KEPT
    return best, (squares, vectors), bool(reliable)


def _solve(
    x: np.ndarray, y: np.ndarray, strength: float, squares: np.ndarray, vectors: np.ndarray
) -> np.ndarray:
    """The weight (m, d) at a strength: of (z z^T + a) c = b, refined in the precision of `x`."""
    primal = len(x) > x.shape[1]
    z, b = (x.T, x.T @ y) if primal else (x, y)
    inverse = 1 / (squares[:, None] + strength)
    c = np.zeros_like(b)
    for _ in range(20):
        left = b - z @ (z.T @ c) - strength * c
        step = vectors @ (inverse * (vectors.T @ left.astype(vectors.dtype)))
        c += step
        if np.abs(step).max() <= 1e-10 * np.abs(c).max():
            break
    return c.T if primal else c.T @ x


def _parts(n: int, width: int, most: int = 1 << 24) -> list[slice]:
    """Rows 0 to n in parts of at most so many numbers, of rows of `width`."""
    step = max(1, most // width)
    return [slice(start, start + step) for start in range(0, n, step)]


def _eigenvectors(square: np.ndarray) -> np.ndarray:
    """Torch's, which takes half to two thirds of the time of numpy's (d = 1,700)."""
    return torch.linalg.eigh(torch.from_numpy(square))[1].numpy()
