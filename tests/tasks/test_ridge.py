from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, Ridge, RidgeCV

from audioinv.tasks.ridge import STRENGTHS, _choose, fit_ridge


def problem(n: int, d: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Three targets of few of the features, far from zero."""
    draw = np.random.default_rng(n + d)
    x = draw.standard_normal((n, d)) + 3
    y = x[:, :5] @ draw.standard_normal((5, 3)) + noise * draw.standard_normal((n, 3)) + 7
    return x, y


@pytest.mark.parametrize("noise", [0.3, 3.0, 30.0])
@pytest.mark.parametrize(("n", "d"), [(300, 40), (100, 300), (60, 60), (61, 60), (4, 6)])
def test_it_is_scikit_learns_ridge_cv(n: int, d: int, noise: float) -> None:
    x, y = problem(n, d, noise)
    weight, bias, strength = fit_ridge(x, y)
    model = RidgeCV(STRENGTHS).fit(x, y)
    assert strength == model.alpha_
    np.testing.assert_allclose(weight, model.coef_, atol=1e-8)
    np.testing.assert_allclose(bias, model.intercept_, atol=1e-8)


@pytest.mark.parametrize(("n", "d"), [(30, 6), (12, 20)])
def test_its_strength_is_that_of_leaving_every_example_out(n: int, d: int) -> None:
    x, y = problem(n, d, 2.0)

    def error(strength: float) -> float:
        model = Ridge(strength)
        rows = [np.arange(n) != i for i in range(n)]
        left = [model.fit(x[r], y[r]).predict(x[~r])[0] - y[~r][0] for r in rows]
        return float(np.square(left).mean())

    assert fit_ridge(x, y)[2] == min(STRENGTHS, key=error)


def test_features_that_repeat_one_another_or_never_vary_do_no_harm() -> None:
    x, y = problem(80, 6, 0.5)
    weight, bias, _ = fit_ridge(np.hstack([x, x, np.full((80, 1), 4.0)]), y)
    np.testing.assert_allclose(weight[:, -1], 0, atol=1e-9)
    np.testing.assert_allclose(weight[:, :6], weight[:, 6:12], atol=1e-6)
    assert np.isfinite(bias).all()


def test_targets_without_noise_are_met() -> None:
    x, _ = problem(200, 5, 0.0)
    y = x @ np.ones((5, 1)) + 2
    weight, bias, strength = fit_ridge(x, y)
    exact = LinearRegression().fit(x, y)
    np.testing.assert_allclose(weight, exact.coef_, atol=1e-3)
    np.testing.assert_allclose(bias, exact.intercept_, atol=1e-2)
    assert strength == STRENGTHS[0]


def test_one_example_is_its_own_mean() -> None:
    weight, bias, _ = fit_ridge(np.ones((1, 3)), np.full((1, 2), 5.0))
    assert weight.tolist() == [[0, 0, 0], [0, 0, 0]]
    assert bias.tolist() == [5, 5]


def spread(n: int, d: int, largest: float) -> tuple[np.ndarray, np.ndarray]:
    """Features of singular values from 1 to `largest`, and targets of all of them with noise."""
    draw = np.random.default_rng(n * d)
    u, v = (np.linalg.qr(draw.standard_normal((k, min(n, d))))[0] for k in (n, d))
    x = u * np.geomspace(largest, 1, min(n, d)) @ v.T
    return x, x @ draw.standard_normal((d, 2)) + draw.standard_normal((n, 2))


@pytest.mark.parametrize("largest", [30.0, 1e3, 1e5])
@pytest.mark.parametrize(("n", "d"), [(200, 80), (80, 200), (120, 120)])
def test_features_of_very_unlike_size_make_no_difference(n: int, d: int, largest: float) -> None:
    x, y = spread(n, d, largest)
    weight, _, strength = fit_ridge(x, y)
    model = RidgeCV(STRENGTHS).fit(x, y)
    assert strength == model.alpha_
    np.testing.assert_allclose(weight, model.coef_, atol=1e-5 * np.abs(model.coef_).max())


def test_single_precision_is_relied_on_where_it_suffices() -> None:
    """Of features of like size; not of very unlike ones, nor where almost no error is left."""
    relied = []
    for x, y in (problem(300, 40, 3.0), problem(300, 40, 0.1), spread(200, 80, 1e5)):
        x, y = x - x.mean(0), y - y.mean(0)
        relied.append(_choose(x.astype(np.float32), y.astype(np.float32))[2])
    assert relied == [True, False, False]


@pytest.mark.parametrize("seed", range(40))
def test_single_precision_chooses_what_double_would(seed: int) -> None:
    """Or one whose error is the same up to rounding, of features of all sizes and ranks."""
    draw = np.random.default_rng(seed)
    n, d = (int(k) for k in draw.integers(5, 120, 2))
    x, y = spread(n, d, 10 ** draw.uniform(0, 5))
    x = np.hstack([x, x[:, : d // 2], np.ones((n, 1))]) if seed % 3 == 0 else x
    y = y + 10 ** draw.uniform(0, 3) * draw.standard_normal(y.shape)
    model = RidgeCV(STRENGTHS, store_cv_results=True).fit(x, y)
    errors = model.cv_results_.sum((0, 1))
    chosen = np.flatnonzero(fit_ridge(x, y)[2] == STRENGTHS)[0]
    assert errors[chosen] <= errors.min() * (1 + 1e-6)
