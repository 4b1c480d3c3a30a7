from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifierCV, RidgeCV
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator
from audioinv.tasks.applied import Head
from audioinv.tasks.readout import Readout, fit_readout, told
from audioinv.tasks.ridge import STRENGTHS

REFERENCES = {
    "ridge": lambda: RidgeClassifierCV(STRENGTHS),
    "logistic": lambda: LogisticRegression(C=1.0, max_iter=200),
    "lda": lambda: LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
}


def problem(n_classes: int, n: int = 120, d: int = 10) -> tuple[Tensor, Tensor]:
    """Overlapping classes in features of unequal mean and scale."""
    g = generator(0, "probes", n_classes)
    y = torch.arange(n) % n_classes
    centres = torch.randn(n_classes, d, generator=g)
    x = centres[y] + 1.5 * torch.randn(n, d, generator=g)
    return x * torch.logspace(-1, 1, d) + 5, y


def standardised(x: Tensor, train: Tensor) -> np.ndarray:
    return ((x - train.mean(0)) / train.std(0)).double().numpy()


def names(n: int) -> list[str]:
    return [f"c{k}" for k in range(n)]


@pytest.mark.parametrize("name", list(REFERENCES))
@pytest.mark.parametrize("n_classes", [2, 4])
def test_classifiers_are_scikit_learns(name: str, n_classes: int) -> None:
    x, y = problem(n_classes)
    train, test = x[:80], x[80:]
    readout = fit_readout(train, y[:80], "classification", names(n_classes), name)
    model = REFERENCES[name]().fit(standardised(train, train), y[:80].numpy())
    expected = model.predict(standardised(test, train))
    assert readout.predict(test).tolist() == expected.tolist()
    assert (expected == y[80:].numpy()).mean() < 1  # an easy problem would prove nothing
    decision = model.decision_function(standardised(test, train))
    scores = readout.scores(test).numpy()
    ours = scores if n_classes > 2 else scores[:, 1]
    np.testing.assert_allclose(ours, decision, atol=1e-3)


@pytest.mark.parametrize("name", list(REFERENCES))
@pytest.mark.parametrize("seen", [[0, 2], [0, 2, 3]])
def test_a_class_that_training_lacks_is_never_predicted(name: str, seen: list[int]) -> None:
    x, y = problem(5)
    rows = torch.isin(y, torch.tensor(seen))
    readout = fit_readout(x[rows], y[rows], "classification", names(5), name)
    predicted = readout.predict(x)
    assert set(predicted.tolist()) == set(seen)
    assert float((predicted[rows] == y[rows]).float().mean()) > 0.6


@pytest.mark.parametrize("name", ["ridge", "logistic"])
def test_scales_are_the_metric_of_the_regularisation(name: str) -> None:
    x, y = problem(3)
    scales = torch.linspace(0.05, 2, 10)
    readout = fit_readout(x[:80], y[:80], "classification", names(3), name, scales=scales)
    train = standardised(x[:80], x[:80]) * scales.numpy()
    test = standardised(x[80:], x[:80]) * scales.numpy()
    model = REFERENCES[name]().fit(train, y[:80].numpy())
    np.testing.assert_allclose(readout.scores(x[80:]), model.decision_function(test), atol=1e-3)
    plain = fit_readout(x[:80], y[:80], "classification", names(3), name)
    assert not torch.allclose(plain.scores(x[80:]), readout.scores(x[80:]), atol=1e-2)


def test_a_scale_of_zero_leaves_the_feature_out() -> None:
    x, y = problem(3)
    scales = torch.ones(10)
    scales[4] = 0
    readout = fit_readout(x, y, "classification", names(3), scales=scales)
    changed = x.clone()
    changed[:, 4] = 1e6
    torch.testing.assert_close(readout.scores(changed), readout.scores(x))


def test_regression_is_ridge_with_leave_one_out() -> None:
    x, _ = problem(2)
    y = x[:, 0] * 30 - x[:, 5] + torch.randn(120, generator=generator(1, "y"))
    readout = fit_readout(x[:80], y[:80], "regression", [])
    model = RidgeCV(STRENGTHS).fit(standardised(x[:80], x[:80]), y[:80].numpy())
    expected = model.predict(standardised(x[80:], x[:80]))
    assert readout.predict(x[80:]).shape == (40,)
    np.testing.assert_allclose(readout.predict(x[80:]), expected, rtol=1e-4, atol=1e-3)


def test_a_given_l2_is_the_minimum_that_gradients_find() -> None:
    """The mean squared error + l2 ||w||^2 is flat at the solution, and not beside it."""
    x, y = problem(2)
    targets = torch.stack([x[:, 0] - y, x[:, 1]], 1).double()
    readout = fit_readout(x, targets, "regression", [], l2=0.05)
    z = ((x - readout.mean) / readout.std).double()
    weight = readout.weight.double().requires_grad_()
    bias = readout.bias.double().requires_grad_()
    error = (z @ weight.T + bias - targets).square().mean()
    loss = error + 0.05 * weight.square().sum()
    gradients = torch.autograd.grad(loss, (weight, bias))
    assert max(float(g.abs().max()) for g in gradients) < 1e-5
    small = fit_readout(x, targets, "regression", [], l2=1e-8)
    assert small.weight.norm() > readout.weight.norm()
    with pytest.raises(UserError, match=r"adapt\.l2.*-1.*0 or more"):
        fit_readout(x, targets, "regression", [], l2=-1)


@pytest.mark.parametrize("name", ["ridge", "lda"])
def test_an_l2_that_would_not_be_used_is_refused(name: str) -> None:
    x, y = problem(3)
    with pytest.raises(
        UserError, match=rf"adapt\.l2.*{name}.*adapt\.readout=logistic.*adapt\.l2=0"
    ):
        fit_readout(x, y, "classification", names(3), name, l2=0.1)


@pytest.mark.parametrize("m", [1, 4])
def test_a_given_l2_is_told_of_the_mean_over_values(m: int) -> None:
    """The normal equations of mean squared error + l2 ||W||^2: (Z'Z + l2 n m I) W = Z'Y."""
    x, _ = problem(2)
    targets = torch.randn(120, m, generator=generator(2, "targets")) + x[:, :m] * 3
    readout = fit_readout(x, targets, "regression", [], l2=0.05)
    z = torch.from_numpy(standardised(x, x)).double()
    centred = targets.double() - targets.double().mean(0)
    gram = z.T @ z + 0.05 * 120 * m * torch.eye(10, dtype=torch.float64)
    expected = torch.linalg.solve(gram, z.T @ centred)
    torch.testing.assert_close(readout.weight.double(), expected.T, rtol=1e-4, atol=1e-5)


def test_several_values_are_one_ridge_regression() -> None:
    """All with the same strength."""
    x, _ = problem(2)
    y = x[:, :3] * torch.tensor([30.0, 0.0, -1.0]) + torch.randn(
        120, 3, generator=generator(1, "y")
    )
    readout = fit_readout(x[:80], y[:80], "regression", [])
    seen = standardised(x[:80], x[:80])
    alpha = RidgeCV(STRENGTHS).fit(seen, y[:80].numpy()).alpha_
    expected = Ridge(alpha).fit(seen, y[:80].numpy()).predict(standardised(x[80:], x[:80]))
    assert readout.predict(x[80:]).shape == (40, 3)
    np.testing.assert_allclose(readout.predict(x[80:]), expected, rtol=1e-4, atol=1e-3)


def test_each_of_many_labels_is_a_logistic_regression() -> None:
    x, y = problem(4)
    labels = torch.stack([y == 0, y >= 2, y % 2 == 1], dim=1).float()
    readout = fit_readout(x[:80], labels[:80], "multilabel", names(3), "logistic")
    predicted = readout.predict(x[80:])
    train, test = standardised(x[:80], x[:80]), standardised(x[80:], x[:80])
    for k in range(3):
        model = REFERENCES["logistic"]().fit(train, labels[:80, k].numpy())
        assert predicted[:, k].tolist() == model.predict(test).tolist()


def test_labels_by_ridge_share_one_strength() -> None:
    """Fitted to -1 and 1; a label is said where the score is above 0."""
    x, y = problem(4)
    labels = torch.stack([y == 0, y >= 2, y == 9], dim=1).to(torch.uint8)
    readout = fit_readout(x[:80], labels[:80], "multilabel", names(3), "ridge")
    seen, signs = standardised(x[:80], x[:80]), 2.0 * labels[:80].numpy() - 1
    alpha = RidgeCV(STRENGTHS).fit(seen, signs).alpha_
    expected = Ridge(alpha).fit(seen, signs).predict(standardised(x[80:], x[:80]))
    np.testing.assert_allclose(readout.scores(x[80:]), expected, rtol=1e-4, atol=1e-3)
    assert readout.predict(x[80:]).tolist() == (expected > 0).tolist()
    likely = told(readout.scores(x[80:]), "multilabel", by_ridge=True)
    np.testing.assert_allclose(likely, ((1 + expected) / 2).clip(0, 1), atol=1e-3)


def test_what_several_labels_cannot_be_read_by_is_refused() -> None:
    x, y = problem(3)
    with pytest.raises(UserError, match=r"lda.*ridge or logistic"):
        fit_readout(x, y[:, None] == 1, "multilabel", names(1), "lda")
    with pytest.raises(UserError, match=r"adapt\.l2.*0\.1.*logistic"):
        fit_readout(x, y[:, None] == 1, "multilabel", names(1), "ridge", l2=0.1)


def test_a_logistic_readout_at_a_given_l2_minimises_what_is_said() -> None:
    """Mean cross entropy + l2 |w|^2: no gradient is left."""
    x, y = problem(3)
    readout = fit_readout(x, y, "classification", names(3), "logistic", l2=0.02)
    z = (x - readout.mean) / readout.std
    weight = readout.weight.clone().requires_grad_()
    bias = readout.bias.clone().requires_grad_()
    loss = torch.nn.functional.cross_entropy(z @ weight.T + bias, y)
    (loss + 0.02 * weight.square().sum()).backward()
    assert weight.grad is not None and bias.grad is not None
    assert float(weight.grad.abs().max()) < 1e-3 and float(bias.grad.abs().max()) < 1e-3
    assert float(readout.weight.abs().max()) > 0.1


@pytest.mark.parametrize("constant", [0.0, 1.0])
def test_a_label_that_never_varies_is_predicted_so(constant: float) -> None:
    x, y = problem(4)
    labels = torch.stack([y == 0, torch.full_like(y, int(constant)) == 1], dim=1).float()
    readout = fit_readout(x, labels, "multilabel", names(2), "logistic")
    assert readout.predict(x)[:, 1].tolist() == [constant] * len(x)
    assert float((readout.predict(x)[:, 0] == labels[:, 0]).float().mean()) > 0.7


def test_a_constant_feature_is_harmless() -> None:
    x, y = problem(3)
    x[:, 2] = 7.0
    for name in REFERENCES:
        assert bool(fit_readout(x, y, "classification", names(3), name).scores(x).isfinite().all())


def test_a_readout_survives_its_tensors() -> None:
    x, y = problem(3)
    readout = fit_readout(x, y, "classification", names(3))
    again = Readout.from_tensors(readout.tensors(), readout.kind, readout.classes)
    assert torch.equal(again.scores(x), readout.scores(x))


def test_what_cannot_be_fitted_is_explained() -> None:
    x, y = problem(3)
    with pytest.raises(UserError, match=r"readout.*'forest'.*logistic, ridge, lda"):
        fit_readout(x, y, "classification", names(3), "forest")
    with pytest.raises(UserError, match="fewer than two classes"):
        fit_readout(x, torch.zeros(120), "classification", names(3))


@pytest.mark.parametrize("name", ["ridge", "logistic"])
@pytest.mark.parametrize("kind", ["multilabel", "classification", "regression"])
def test_a_head_says_what_the_readouts_scores_mean(name: str, kind: str) -> None:
    x, y = problem(3)
    targets = {"multilabel": y[:, None] == torch.arange(3), "classification": y}
    wanted = targets.get(kind, x[:, 0])
    readout = fit_readout(x, wanted, kind, names(0 if kind == "regression" else 3), name)
    scores = readout.scores(x)
    expected = told(scores, kind, by_ridge=name == "ridge" and kind != "regression")
    torch.testing.assert_close(Head(readout, name)(x), expected)
    torch.testing.assert_close(Head(readout, None)(x), scores)
