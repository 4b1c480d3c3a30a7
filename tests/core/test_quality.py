"""Figures of features: against closed forms, naive loops and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator
from audioinv.core.quality import alignment, effective_rank, leave_one_out, uniformity


def features(n: int = 30, d: int = 6, key: str = "a") -> Tensor:
    return torch.randn(n, d, generator=generator(0, key))


def test_effective_rank_counts_directions() -> None:
    assert effective_rank(torch.eye(5) * 3) == pytest.approx(5, rel=1e-5)
    assert effective_rank(torch.ones(9, 4)) == pytest.approx(1, rel=1e-4)
    assert effective_rank(torch.zeros(9, 4)) == pytest.approx(1, rel=1e-4)
    sigma = np.linalg.svd(features().double().numpy(), compute_uv=False)
    p = sigma / sigma.sum()
    assert effective_rank(features()) == pytest.approx(math.exp(-(p * np.log(p)).sum()), rel=1e-5)


def test_alignment_is_a_distance_on_the_sphere() -> None:
    a = features()
    assert alignment(a, 7 * a) == pytest.approx(0, abs=1e-12)
    assert alignment(a, -a) == pytest.approx(4)
    x, y = (v.double().numpy() for v in (a, features(key="b")))
    x, y = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, y))
    assert alignment(a, features(key="b")) == pytest.approx(((x - y) ** 2).sum(1).mean())


def test_uniformity_is_that_of_a_naive_loop() -> None:
    x = features().double()
    x = x / x.norm(dim=1, keepdim=True)
    pairs = [
        math.exp(-2 * float((x[i] - x[j]).square().sum())) for i in range(30) for j in range(i)
    ]
    assert uniformity(features()) == pytest.approx(math.log(sum(pairs) / len(pairs)))
    assert uniformity(torch.ones(8, 3)) == pytest.approx(0, abs=1e-9)
    with pytest.raises(UserError, match="there are 1 features; give 2"):
        uniformity(torch.ones(1, 3))


def test_neighbours_are_scikit_learns_without_the_clip_itself() -> None:
    x, y = features(40), torch.arange(40) % 3
    x[:, 0] += 1.5 * y
    centred = (x - x.mean(0)).numpy()
    right = 0
    for left in range(40):
        others = [k for k in range(40) if k != left]
        judge = KNeighborsClassifier(5, metric="cosine", weights=lambda d: np.exp(-d / 0.07)).fit(
            centred[others], y[others]
        )
        right += int(judge.predict(centred[left : left + 1])[0] == y[left])
    assert leave_one_out(x, y, 5) == pytest.approx(right / 40)
    assert leave_one_out(x, y, 500) <= 1  # more neighbours than there are
