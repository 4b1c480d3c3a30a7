"""Tasks that come as arrays: clips and labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

import audioinv as ai
from audioinv.base.errors import UserError
from audioinv.tasks.given import clips_for
from audioinv.tasks.labels import read_labels
from audioinv.tasks.readout import nearest_probabilities
from tests.core.small_encoder import small_encoder, small_maps

N = 40
Y = np.array(["low", "high"])[np.arange(N) % 2]


def clips(n: int = N) -> Tensor:
    """Clips (n, 1, 12, 10), every other of which is louder."""
    return small_maps(n) + 2 * (torch.arange(n) % 2)[:, None, None, None]


def test_arrays_are_learnt_under_the_statistics_of_the_encoder() -> None:
    encoder, x = small_encoder(), clips()
    adapted = ai.adapt(encoder, x, Y, mode="fixed:-a", readout="logistic", l2=0.01)
    assert adapted.descriptor == {"a": 0.0, "b": 1.0, "c": 1.0}
    plain = encoder.at("-a")
    with torch.no_grad():
        features = plain(x).double()
    z = ((features - features.mean(0)) / features.std(0)).numpy()
    expected = LogisticRegression(C=1 / (2 * 0.01 * N), max_iter=200).fit(z, Y)
    assert (adapted.predict(x) == expected.predict(z)).all()
    assert np.allclose(adapted.predict_proba(x), expected.predict_proba(z), atol=1e-3)
    assert adapted.score(x, Y) == pytest.approx(expected.score(z, Y))
    result = ai.evaluate(adapted, x, Y)
    assert (result.value, result.n_train, result.n_test) == (adapted.score(x, Y), N, N)
    assert result.interval is not None and result.interval[0] <= result.value
    assert result.label == "a off" and result.versions["torch"] == torch.__version__.split("+")[0]


def test_the_encoder_that_was_given_stays_as_it_is() -> None:
    encoder = small_encoder().train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    ai.adapt(encoder, clips(), Y, mode="paper", epochs=1)
    assert encoder.training and all(p.requires_grad for p in encoder.parameters())
    assert all(torch.equal(v, before[name]) for name, v in encoder.state_dict().items())


def test_values_and_labels() -> None:
    encoder, x = small_encoder(), clips()
    level = x.mean((1, 2, 3))
    adapted = ai.adapt(encoder, x, level, mode="soft")
    assert adapted.predict(x).shape == (N,) and adapted.score(x, level) > 0.5
    with pytest.raises(UserError, match="regression"):
        adapted.predict_proba(x)
    two = ai.adapt(encoder, x, torch.stack([level, -level], 1), mode="fixed:all")
    assert two.predict(x).shape == (N, 2)
    tags = np.stack([Y == "low", Y == "high"], 1)
    tagged = ai.adapt(encoder, x, tags, mode="fixed:all")
    assert tagged.task.kind == "multilabel" and tagged.predict(x).shape == (N, 2)
    assert ai.evaluate(tagged, x, tags).metric == "map"


@pytest.mark.parametrize(
    ("x", "y", "settings", "told"),
    [
        (clips(), Y[:-1], {}, "39"),
        (clips(), None, {}, "labels"),
        (torch.zeros(4, 1, 12, 3), Y[:4], {}, r"\(1, 12, 10\)"),
        (clips() / 0, Y, {}, "finite"),
        (["a", "b"], Y[:2], {}, "array"),
        (clips(), Y, {"mode": "luck"}, "luck"),
        (clips(), Y, {"luck": 1}, "luck"),
        (clips(), Y, {"layers": "al"}, "did you mean all"),
        (clips(), [None, *Y[1:]], {}, "1 of 40 labels are missing; leave those clips out"),
        (clips(), pd.Series([None, *Y[1:]]), {}, "1 of 40 labels are missing"),
        (clips(), ["", *Y[1:]], {}, "1 of 40 labels are missing"),
        (clips(), np.array([3, *Y[1:].tolist()], object), {}, "int and str; give all as one type"),
        (clips(), [["a"], *[["a", "b"]] * 39], {}, "lists of several lengths"),
        (clips(), np.full(40, np.nan), {}, "leave those clips out"),
        (clips(), np.zeros((40, 2), int), {}, "nothing to learn"),
        (clips(), Y, {"views": 2}, "bank=BANK"),
        (clips(), Y, {"kind": "luck"}, "classification"),
        (clips(), Y, {"kind": "regression"}, "numbers"),
    ],
)
def test_what_cannot_be_learnt_is_refused(
    x: Any, y: Any, settings: dict[str, Any], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        ai.adapt(small_encoder(), x, y, **settings)


def test_labels_that_look_alike_are_told(caplog: pytest.LogCaptureFixture) -> None:
    assert read_labels(["a ", "a", "b"], 3).classes == ["a", "a ", "b"]
    assert caplog.text.count("differ in blanks") == 1


def test_features_that_are_not_finite_are_told() -> None:
    encoder = small_encoder()
    next(iter(encoder.backbone.parameters())).data.fill_(float("nan"))
    with pytest.raises(UserError, match="some features are not finite"):
        ai.adapt(encoder, clips(), Y)


def test_what_cannot_be_judged_is_refused() -> None:
    adapted = ai.adapt(small_encoder(), clips(), Y, mode="fixed:all")
    with pytest.raises(UserError, match="give x and y"):
        ai.evaluate(adapted)
    with pytest.raises(UserError, match="middle was not learnt"):
        adapted.score(clips(2), ["low", "middle"])
    with pytest.raises(UserError, match="knn"):
        ai.evaluate(adapted, clips(), Y, protocol="knn")


def test_kinds_of_labels() -> None:
    assert read_labels([3, 1, 3], 3).classes == ["1", "3"]
    assert read_labels(np.array([0.5, 1.0]), 2).kind == "regression"
    assert read_labels(np.array([[0, 1], [1, 1]]), 2).kind == "multilabel"
    assert read_labels(np.array([[0, 2], [1, 1]]), 2).kind == "regression"
    assert read_labels(np.array([[1.0], [2.0]]), 2).targets.shape == (2,)


def test_clips_of_numpy_are_clips() -> None:
    encoder = small_encoder()
    assert torch.equal(clips_for(encoder, clips().numpy()), clips())


def test_the_nearest_probabilities() -> None:
    """Those of a quadratic programme, solved by bisection on the Lagrange multiplier."""
    x = torch.randn(20, 4, dtype=torch.float64)
    low, high = x.min(1).values - 1, x.max(1).values
    for _ in range(80):
        middle = (low + high) / 2
        above = (x - middle[:, None]).clamp_min(0).sum(1) > 1
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    expected = (x - low[:, None]).clamp_min(0)
    torch.testing.assert_close(nearest_probabilities(x), expected, atol=1e-9, rtol=0)
