"""Mean average precision of many labels against scikit-learn's, label by label."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor

from audioinv.base.randomness import generator
from audioinv.tasks import precision, scores
from audioinv.tasks.precision import bootstrap_precision, mean_average_precision


def drawn(ties: bool) -> tuple[Tensor, Tensor]:
    g = generator(int(ties), "precision")
    outputs = torch.randn(120, 6, generator=g)
    targets = (torch.rand(120, 6, generator=g) < 0.1).to(torch.uint8)
    targets[:, 3] = 0
    return (outputs * 2).round() if ties else outputs, targets


def naive(outputs: Tensor, targets: Tensor) -> float:
    labels = [k for k in range(targets.shape[1]) if targets[:, k].any()]
    each = [average_precision_score(targets[:, k].numpy(), outputs[:, k].numpy()) for k in labels]
    return float(np.mean(each))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("together", [1 << 23, 300])
def test_it_is_scikit_learns(ties: bool, together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "MOST_NUMBERS", together)
    outputs, targets = drawn(ties)
    assert mean_average_precision(outputs, targets) == pytest.approx(naive(outputs, targets))
    rows = [torch.randint(120, (120,), generator=generator(k, "rows")) for k in range(6)]
    found = bootstrap_precision(outputs, targets, iter(rows))
    assert found.tolist() == pytest.approx([naive(outputs[r], targets[r]) for r in rows])


def test_no_label_at_all_scores_nothing() -> None:
    assert mean_average_precision(torch.randn(4, 2), torch.zeros(4, 2)) == 0


def test_above_five_thousand_clips_fewer_draws_are_made_and_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outputs, targets = drawn(False)
    few = scores.score_outputs(outputs, targets, "multilabel", torch.arange(120))
    monkeypatch.setattr(scores, "MANY_CLIPS", 100)
    many = scores.score_outputs(outputs, targets, "multilabel", torch.arange(120))
    assert "draws" not in few and many["draws"] == 100
    assert many["interval"] == pytest.approx(few["interval"], abs=0.05)
    values = scores.score_outputs(outputs[:, :1], outputs[:, 1], "regression", torch.arange(120))
    assert values["draws"] == 100
