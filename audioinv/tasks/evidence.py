"""Gaussian-process evidence of a task's targets under the features of one or many corners.

With standardised features F_c (n, d) at corner c, K_c = F_c F_c^T / d. A product distribution q
over corners, w_c(q) = prod_k q_k^{c_k} (1 - q_k)^{1 - c_k}, gives K(q) = sum_c w_c K_c. The
evidence of targets Y (n, m) under amplitude^2 (K + noise I), with the amplitude at its maximum, is
up to a constant

    -m/2 (n log(tr(Y^T A^-1 Y) / (n m)) + log det A),     A = K + noise I

(Rasmussen and Williams, 2006, eq. 5.8, profiled over the amplitude).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from audioinv.base.progress import shown
from audioinv.tasks.standard import moments

LOG_NOISE_GRID = torch.linspace(-7.0, 3.0, 41)


def centre_targets(targets: Tensor, kind: str, n_classes: int) -> Tensor:
    """Class indices (n,), 0/1 labels (n, m), values (n,) or (n, m) -> centred (n, m), float64."""
    if kind == "classification":
        y = torch.nn.functional.one_hot(targets.long(), n_classes).double()
    else:
        y = targets.double().reshape(len(targets), -1)
    return y - y.mean(0)


def standardised(features: Tensor) -> Tensor:
    """Features F (n, d) at mean 0 and deviation 1 over the clips."""
    mean, std = moments(features)
    return (features - mean) / std


def kernel(features: Tensor, scales: Tensor | None = None) -> Tensor:
    """K = F F^T / d (n, n) of standardised features F (n, d), each times its scale (d,)."""
    f = standardised(features) if scales is None else standardised(features) * scales
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
    values, vectors = torch.linalg.eigh(k)
    return _on_grid(values, (vectors.mT @ y).square().sum(-1), y)


def evidence_of_features(features: Tensor, y: Tensor, scales: Tensor | None = None) -> Tensor:
    """The log evidence of centred targets `y` (n, m) under `kernel` at the best noise.

    Of n clips and d features the smaller of F F^T and F^T F is decomposed: they share all
    eigenvalues but zeros, and an eigenvector v of F^T F is F v / |F v| of the other.
    """
    n, d = features.shape
    if d >= n:  # in the kernel's own precision: its rounding is far below the least noise
        values, vectors = torch.linalg.eigh(kernel(features, scales))
        power = (vectors.double().T @ y).square().sum(-1)
        return _on_grid(values.double(), power, y).amax()
    f = standardised(features).double() * (1 if scales is None else scales)
    values, vectors = torch.linalg.eigh(f.T @ f / d)
    there = values > values[-1] * 1e-12
    power = (vectors.T @ (f.T @ y)).square().sum(-1)[there] / (values[there] * d)
    beside = (y.square().sum() - power.sum()).clamp_min(0)  # where the features say nothing
    zeros = values.new_zeros(n - len(power))
    rest = torch.cat([beside[None], zeros[1:]])[: len(zeros)]
    return _on_grid(torch.cat([values[there], zeros]), torch.cat([power, rest]), y).amax()


def _on_grid(values: Tensor, power: Tensor, y: Tensor) -> Tensor:
    """Log evidence (..., G) by the eigenvalues (..., n) and the targets' power (..., n) along the
    eigenvectors."""
    n, m = y.shape
    a = values.clamp_min(0)[..., None, :] + LOG_NOISE_GRID.to(values.dtype).exp()[:, None]
    fit = n * ((power[..., None, :] / a).sum(-1) / (n * m)).log()
    return -0.5 * m * (fit + a.log().sum(-1))


def corner_weights(q: Tensor, corners: Tensor) -> Tensor:
    """w_c(q), (..., C), of probabilities q (..., K), normalised over these `corners` (C, K)."""
    c, q = corners.to(q.dtype), q[..., None, :]
    w = (c * q + (1 - c) * (1 - q)).prod(-1)
    return w / w.sum(-1, keepdim=True)


def mixed(w: Tensor, flat: Tensor, lower: Tensor, y: Tensor) -> Tensor:
    """sum_c w_c K_c over the n rows of `y`, in its precision: the lower triangle alone, which is
    all that is read of it."""
    k = y.new_zeros(len(y), len(y))
    return k.put_(lower, (w.to(flat.dtype) @ flat).to(y.dtype))


class Mixed(torch.autograd.Function):
    """The log evidence over n of targets under sum_c w_c K_c, with its gradients in closed form.

    With A = K + noise I, a = A^-1 Y and s = tr(Y^T a), the derivative to A is
    m/2 (n a a^T / s - A^-1).
    """

    @staticmethod
    def forward(
        ctx: Any, w: Tensor, log_noise: Tensor, flat: Tensor, lower: Tensor, y: Tensor
    ) -> Tensor:
        n, m = y.shape
        a = mixed(w, flat, lower, y)
        a.diagonal().add_(log_noise.exp())
        factor = torch.linalg.cholesky(a)
        solved = torch.cholesky_solve(y, factor)
        power = (y * solved).sum()
        slope = 0.5 * m * (n / power * solved @ solved.T - torch.cholesky_inverse(factor)) / n
        ctx.save_for_backward(slope, log_noise, flat, lower)
        fit = n * (power / (n * m)).log()
        return -0.5 * m * (fit + 2 * factor.diagonal().log().sum()) / n

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        slope, log_noise, flat, lower = ctx.saved_tensors
        to_noise = slope.diagonal().sum() * log_noise.exp()
        twice = 2 * slope  # what lies off the diagonal counts twice
        twice.diagonal().copy_(slope.diagonal())
        to_w = flat @ twice.take(lower).to(flat.dtype)
        return gradients[0] * to_w.to(slope.dtype), gradients[0] * to_noise, None, None, None


def learn_weights(
    flat: Tensor,
    y: Tensor,
    weights_of: Callable[..., Tensor],
    start: Sequence[Tensor],
    steps: int = 40,
    lr: float = 0.3,
) -> tuple[list[Tensor], float]:
    """Maximises the evidence of a mixture of kernels, by Adam over what the weights are made of.

    Args:
        flat: (P, n (n + 1) / 2), the kernels' lower triangles, of any precision; their mixture is
            solved in double. y: centred targets (n, m), float64.
        weights_of: parameters -> weights (P,) of the kernels. start: first parameters, float64.

    Returns:
        the parameters, and the log evidence reached, with the noise rescanned at the end.
    """
    rows, columns = torch.tril_indices(len(y), len(y))
    lower = rows * len(y) + columns

    def best() -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            return best_noise(mixed(weights_of(*learnt), flat, lower, y), y)

    learnt = [parameter.clone().requires_grad_() for parameter in start]
    log_noise = best()[1].clone().requires_grad_()
    optimiser = torch.optim.Adam([*learnt, log_noise], lr=lr)
    for _ in shown(range(steps), "evidence of mixtures", "steps"):
        optimiser.zero_grad()
        (-Mixed.apply(weights_of(*learnt), log_noise, flat, lower, y)).backward()
        optimiser.step()
        with torch.no_grad():  # below the grid a kernel of single precision is singular
            log_noise.clamp_(min=float(LOG_NOISE_GRID[0]))
    return [parameter.detach() for parameter in learnt], float(best()[0])
