from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.stats import multivariate_normal
from torch import Tensor

from audioinv.base.randomness import generator
from audioinv.tasks.evidence import (
    LOG_NOISE_GRID,
    Mixed,
    best_noise,
    centre_targets,
    corner_weights,
    kernel,
    log_evidence,
)
from tests.tasks.learning import learn_soft_descriptor


def draw(*shape: int, key: str = "x") -> Tensor:
    return torch.randn(*shape, generator=generator(0, key)).double()


def profiled(k: np.ndarray, y: np.ndarray, noise: float) -> float:
    """The log density of the columns of y under N(0, a (k + noise I)), at the best amplitude a."""
    a = k + noise * np.eye(len(k))

    def negative(log_amplitude: float) -> float:
        normal = multivariate_normal(np.zeros(len(k)), math.exp(log_amplitude) * a)
        return -float(np.sum(normal.logpdf(y.T)))

    best = minimize_scalar(negative, bounds=(-20, 20), method="bounded", options={"xatol": 1e-9})
    return -best.fun


def test_evidence_is_the_gaussian_density_at_its_best_amplitude() -> None:
    """Up to a constant of n and m: so differences between kernels and noises are compared."""
    y = draw(14, 3, key="y")
    y -= y.mean(0)
    settings = [(draw(14, 5), 0.1), (draw(14, 5), 2.0), (draw(14, 40, key="z"), 0.01)]
    ours, reference = [], []
    for features, noise in settings:
        k = kernel(features)
        ours.append(float(log_evidence(k, y, torch.tensor(math.log(noise)))))
        reference.append(profiled(k.numpy(), y.numpy(), noise))
    constant = reference[0] - ours[0]
    np.testing.assert_allclose(np.array(ours) + constant, reference, rtol=1e-6)
    n, m = y.shape
    assert constant == pytest.approx(-0.5 * n * m * (1 + math.log(2 * math.pi)), rel=1e-6)


def test_kernel_is_of_standardised_features() -> None:
    x = draw(9, 4) * torch.logspace(-0.7, 0.7, 4) + 100
    z = (x.numpy() - x.numpy().mean(0)) / x.numpy().std(0, ddof=1)
    np.testing.assert_allclose(kernel(x), z @ z.T / 4, atol=1e-9)
    assert bool(kernel(torch.ones(5, 3)).isfinite().all())


def test_best_noise_is_the_best_of_the_grid() -> None:
    for features, target in itertools.product((draw(20, 3), draw(20, 60)), (draw(20, 1), None)):
        y = target if target is not None else features[:, :1] + 0.1 * draw(20, 1, key="n")
        y = y - y.mean(0)
        k = kernel(features)
        brute = torch.stack([log_evidence(k, y, v.double()) for v in LOG_NOISE_GRID])
        value, log_noise = best_noise(k, y)
        assert float(value) == pytest.approx(float(brute.max()), rel=1e-8)
        assert float(log_noise) == pytest.approx(float(LOG_NOISE_GRID[brute.argmax()]))


def test_evidence_prefers_the_features_that_explain_the_target() -> None:
    y = draw(30, 1, key="y")
    y -= y.mean(0)
    good = kernel(torch.cat([y, draw(30, 3)], dim=1))
    assert best_noise(good, y)[0] > best_noise(kernel(draw(30, 4)), y)[0] + 5


def test_targets_are_centred() -> None:
    y = centre_targets(torch.tensor([0, 2, 2, 1]), "classification", 3)
    assert y.shape == (4, 3) and torch.allclose(y.sum(0), torch.zeros(3).double())
    assert centre_targets(torch.tensor([1.0, 3.0]), "regression", 0).tolist() == [[-1.0], [1.0]]
    assert centre_targets(torch.ones(4, 2), "multilabel", 2).shape == (4, 2)


ALL = torch.tensor(list(itertools.product((0.0, 1.0), repeat=3)))


def test_several_values_are_centred_each() -> None:
    values = draw(9, 3) + torch.tensor([0.0, 10.0, -5.0])
    expected = values.numpy() - values.numpy().mean(0)
    np.testing.assert_allclose(centre_targets(values, "regression", 0), expected, atol=1e-12)


def test_corner_weights_are_the_product_distribution() -> None:
    q = torch.tensor([0.9, 0.2, 0.5]).double()
    weights = corner_weights(q, ALL)
    naive = [math.prod(float(q[k] if c[k] else 1 - q[k]) for k in range(3)) for c in ALL]
    np.testing.assert_allclose(weights, naive, rtol=1e-12)
    assert float(weights.sum()) == pytest.approx(1)
    allowed = corner_weights(q, ALL[1:])
    np.testing.assert_allclose(allowed, np.array(naive[1:]) / sum(naive[1:]), rtol=1e-12)
    at_corner = corner_weights(torch.tensor([1.0, 0.0, 1.0]), ALL)
    assert at_corner.tolist() == [float(c.tolist() == [1, 0, 1]) for c in ALL]


def features_at(corner: Tensor, y: Tensor, informative_at: float) -> Tensor:
    """The target shows where component 0 has this value; all else is noise, other each corner."""
    noise = draw(len(y), 6, key=str(corner.tolist()))
    signal = y if float(corner[0]) == informative_at else draw(len(y), 1, key="other")
    return torch.cat([signal + 0.3 * noise[:, :1], noise[:, 1:]], dim=1)


@pytest.mark.parametrize("informative_at", [0.0, 1.0])
def test_the_informative_end_of_a_component_is_found(informative_at: float) -> None:
    y = draw(60, 1, key="y")
    y -= y.mean(0)
    kernels = torch.stack([kernel(features_at(c, y, informative_at)) for c in ALL])
    q, evidence = learn_soft_descriptor(kernels, ALL, y)
    assert bool(((q >= 0) & (q <= 1)).all())
    assert abs(float(q[0]) - informative_at) < 0.1
    uniform = best_noise(kernels.mean(0), y)[0]
    assert evidence > float(uniform) + 1


def test_steps_only_raise_the_evidence() -> None:
    y = draw(60, 1, key="y")
    y -= y.mean(0)
    kernels = torch.stack([kernel(features_at(c, y, 1.0)) for c in ALL])
    start, some, many = (learn_soft_descriptor(kernels, ALL, y, steps)[1] for steps in (0, 10, 40))
    assert start < some < many
    assert torch.equal(learn_soft_descriptor(kernels, ALL, y, 0)[0], torch.full((3,), 0.5).double())


def test_a_target_without_noise_is_no_numerical_accident() -> None:
    """The best noise is then 0, and kernels of single precision are singular at that."""
    features = draw(120, 4)
    y = features @ draw(4, 1, key="w")
    y = y - y.mean(0)
    kernels = torch.stack([kernel(features.float()).double() for _ in ALL])
    q, evidence = learn_soft_descriptor(kernels, ALL, y, steps=120)
    assert bool(q.isfinite().all()) and math.isfinite(evidence)


def test_gradients_of_the_mixture_can_be_asked_for_again() -> None:
    n = 6
    rows, columns = torch.tril_indices(n, n)
    features = torch.randn(3, n, 8, generator=generator(0, "again"), dtype=torch.float64)
    flat = (features @ features.mT)[:, rows, columns]
    w = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64, requires_grad=True)
    noise = torch.tensor(-1.0, dtype=torch.float64, requires_grad=True)
    y = torch.randn(n, 2, generator=generator(0, "targets"), dtype=torch.float64)
    found = Mixed.apply(w, noise, flat, rows * n + columns, y)
    first, again = (torch.autograd.grad(found, w, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, again)
    assert torch.autograd.gradcheck(
        lambda *given: Mixed.apply(*given, flat, rows * n + columns, y), (w, noise)
    )
