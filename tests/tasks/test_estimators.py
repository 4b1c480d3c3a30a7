"""scikit-learn's own checks of its face, on an encoder that hands features through.

Two checks cannot apply: `check_array_api_input` needs an environment of its own, and is skipped by
scikit-learn. Those of sample weights, of transformers and of clusterers are not asked, since
nothing here has them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch import Tensor, nn
from torch.nn import functional as F

import audioinv as ai
from audioinv.base.errors import UserError
from tests.core.small_encoder import small_encoder, small_maps

WIDTH = 24


class Padded(nn.Module):
    """Clips (B, F) of any F as maps (B, 1, WIDTH, 2): the numbers, then zeros."""

    config = {"name": "padded"}  # noqa: RUF012
    output_size = (1, WIDTH, 2)

    def forward(self, x: Tensor) -> Tensor:
        rows = F.pad(x.flatten(1), (0, WIDTH))[:, :WIDTH]
        return torch.stack([rows, rows], -1)[:, None]


def encoder() -> ai.Encoder:
    """Its features are the clips: what scikit-learn asks of an estimator it can then ask of us."""
    space = ai.DescriptorSpace.single(["a"], min_active=0)
    return ai.Encoder(Padded(), {"name": "statistics"}, "none", space)


@parametrize_with_checks(
    [
        ai.AmortisedClassifier(encoder(), mode="fixed:all"),
        ai.AmortisedRegressor(encoder(), mode="fixed:all"),
    ]
)
def test_scikit_learns_own_checks(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


def test_it_learns_the_descriptor_too() -> None:
    x = (small_maps(40) + 2 * (torch.arange(40) % 2)[:, None, None, None]).numpy()
    y = np.array(["low", "high"])[np.arange(40) % 2]
    model = ai.AmortisedClassifier(small_encoder(), mode="search").fit(x[:30], y[:30])
    adapted = ai.adapt(small_encoder(), x[:30], y[:30], mode="search")
    assert model.descriptor_ == adapted.descriptor and set(model.descriptor_) == {"a", "b", "c"}
    assert (model.predict(x[30:]) == adapted.predict(x[30:])).all()
    assert model.score(x[30:], y[30:]) == pytest.approx(adapted.score(x[30:], y[30:]))
    assert model.classes_.tolist() == ["high", "low"]


def test_it_goes_into_searches_and_pipelines() -> None:
    x, level = small_maps(24).numpy(), np.arange(24.0)
    model = make_pipeline(
        FunctionTransformer(), ai.AmortisedRegressor(small_encoder(), mode="fixed:all")
    )
    modes = {"amortisedregressor__mode": ["fixed:all", "fixed:-a"]}
    found = GridSearchCV(model, modes, cv=2, error_score="raise").fit(x, level)
    assert found.predict(x).shape == (24,)


def test_without_an_encoder() -> None:
    model = clone(ai.AmortisedClassifier())
    with pytest.raises(UserError, match="encoder=ENCODER"):
        model.fit(np.zeros((4, 3)), [0, 1, 0, 1])
