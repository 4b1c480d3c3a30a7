from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator
from audioinv.tasks import neighbours
from audioinv.tasks.neighbours import knn_scores


def data() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    g = generator(0, "knn")
    y = torch.randint(4, (300,), generator=g)
    x = torch.nn.functional.one_hot(y, 4).float() @ torch.randn(4, 7, generator=g)
    x = 3 + 5 * (x + torch.randn(300, 7, generator=g))
    return x, y, 3 + 5 * torch.randn(50, 7, generator=g)


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.1), (15, 0.07), (400, 1.0)])
def test_scores_are_scikit_learns_weighted_votes(k: int, temperature: float) -> None:
    x, y, test = data()
    scale = StandardScaler().fit(x.numpy())
    # scikit-learn divides by n, we by n - 1: one factor for all features, which a cosine ignores
    model = KNeighborsClassifier(
        min(k, 300), metric="cosine", weights=lambda d: np.exp(-d / temperature)
    )
    expected = model.fit(scale.transform(x.numpy()), y).predict_proba(scale.transform(test.numpy()))
    ours = knn_scores(x, y, test, 4, k, temperature)
    share = ours / ours.sum(1, keepdim=True)
    np.testing.assert_allclose(share.numpy(), expected, atol=1e-4)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, test = data()
    whole = knn_scores(x, y, test, 4)
    monkeypatch.setattr(neighbours, "CHUNK", 7)
    torch.testing.assert_close(knn_scores(x, y, test, 4), whole)


@pytest.mark.parametrize(("k", "temperature"), [(0, 0.1), (5, 0.0)])
def test_settings_that_cannot_work(k: int, temperature: float) -> None:
    with pytest.raises(UserError, match=r"knn\.k"):
        knn_scores(*data(), 4, k, temperature)
