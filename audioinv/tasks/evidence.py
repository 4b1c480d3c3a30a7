"""Gaussian-process evidence of a task's targets under the features of one or many corners.

With standardised features F_c (n, d) at corner c, K_c = F_c F_c^T / d. A product distribution q
over corners, w_c(q) = prod_k q_k^{c_k} (1 - q_k)^{1 - c_k}, gives K(q) = sum_c w_c K_c. The
evidence of targets Y (n, m) under amplitude^2 (K + noise I), with the amplitude at its maximum, is
up to a constant

    -m/2 (n log(tr(Y^T A^-1 Y) / (n m)) + log det A),     A = K + noise I

(Rasmussen and Williams, 2006, eq. 5.8, profiled over the amplitude).
"""

from __future__ import annotations

import torch
from torch import Tensor

LOG_NOISE_GRID = torch.linspace(-7.0, 3.0, 41)


def centre_targets(targets: Tensor, kind: str, n_classes: int) -> Tensor:
    """Class indices (n,), 0/1 labels (n, m), values (n,) or (n, m) -> centred (n, m), float64."""
    if kind == "classification":
        y = torch.nn.functional.one_hot(targets.long(), n_classes).double()
    else:
        y = targets.double().reshape(len(targets), -1)
    return y - y.mean(0)


def kernel(features: Tensor) -> Tensor:
    """K = F F^T / d (n, n) of standardised features F (n, d)."""
    f = features - features.mean(0)
    f = f / f.std(0).clamp_min(1e-6)
    return f @ f.T / f.shape[1]


def log_evidence(k: Tensor, y: Tensor, log_noise: Tensor) -> Tensor:
    """The log evidence, up to a constant, of centred targets `y` (n, m) under kernel `k` (n, n)."""
    n, m = y.shape
    a = k + log_noise.exp() * torch.eye(n, dtype=k.dtype)
    factor = torch.linalg.cholesky(a)
    whitened = torch.linalg.solve_triangular(factor, y, upper=False)
    fit = n * (whitened.square().sum() / (n * m)).log()
    return -0.5 * m * (fit + 2 * factor.diagonal().log().sum())


def best_noise(k: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """(log evidence, log noise) at the best noise of a grid, from one eigendecomposition of `k`."""
    evidence = evidence_on_grid(k, y)
    best = int(evidence.argmax())
    return evidence[best], LOG_NOISE_GRID[best].to(k.dtype)


def evidence_on_grid(k: Tensor, y: Tensor) -> Tensor:
    """Log evidence (..., G) of centred targets `y` (n, m) under `k` (..., n, n), by noise."""
    n, m = y.shape
    values, vectors = torch.linalg.eigh(k)
    power = (vectors.mT @ y).square().sum(-1)
    a = values.clamp_min(0)[..., None, :] + LOG_NOISE_GRID.to(k.dtype).exp()[:, None]
    fit = n * ((power[..., None, :] / a).sum(-1) / (n * m)).log()
    return -0.5 * m * (fit + a.log().sum(-1))


def corner_weights(q: Tensor, corners: Tensor) -> Tensor:
    """w_c(q), (C,), of probabilities q (K,), normalised over these `corners` (C, K)."""
    c = corners.to(q.dtype)
    w = (c * q + (1 - c) * (1 - q)).prod(1)
    return w / w.sum()


def learn_soft_descriptor(
    kernels: Tensor, corners: Tensor, y: Tensor, steps: int = 40, lr: float = 0.3
) -> tuple[Tensor, float]:
    """Maximises the evidence over q, by Adam over (logit q, log noise) from q = 0.5.

    Args:
        kernels: (C, n, n), one a corner, of any precision; their mixture is solved in double.
        corners: (C, K). y: centred targets (n, m), float64.

    Returns:
        q (K,) and the log evidence reached, with the noise rescanned at the end.
    """
    flat = kernels.flatten(1)
    n = len(y)

    def mixed(q: Tensor) -> Tensor:
        return (corner_weights(q, corners).to(flat.dtype) @ flat).view(n, n).double()

    logits = torch.zeros(corners.shape[1], dtype=y.dtype, requires_grad=True)
    log_noise = best_noise(mixed(logits.detach().sigmoid()), y)[1].clone().requires_grad_()
    optimiser = torch.optim.Adam([logits, log_noise], lr=lr)
    for _ in range(steps):
        optimiser.zero_grad()
        loss = -log_evidence(mixed(logits.sigmoid()), y, log_noise) / n
        loss.backward()
        optimiser.step()
        with torch.no_grad():  # below the grid a kernel of single precision is singular
            log_noise.clamp_(min=float(LOG_NOISE_GRID[0]))
    q = logits.detach().sigmoid()
    return q, float(best_noise(mixed(q), y)[0])
