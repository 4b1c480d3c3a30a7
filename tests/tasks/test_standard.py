"""A channel that is silent in training and speaks in a test decides nothing."""

from __future__ import annotations

import pytest
import torch

from audioinv.base.randomness import generator
from audioinv.tasks.readout import fit_readout
from audioinv.tasks.standard import moments


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=generator(0, "x"))


@pytest.mark.parametrize("silent", [0.0, 0.1, 1e-5])
@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_a_silent_channel_does_not_decide(silent: float, kind: str) -> None:
    """At 0.1 float32's own rounding made a deviation, by which a regression went astray."""
    x = draw(200, 12)
    y = x[:, 0] + 0.5 * x[:, 1]
    x[:100, 7] = silent if silent != 1e-5 else 1e-5 * x[:100, 7]
    targets, classes = (y, []) if kind == "regression" else ((y > 0).long(), ["-", "+"])
    readout = fit_readout(x[:100], targets[:100], kind, classes)
    others = [k for k in range(12) if k != 7]
    without = fit_readout(x[:100, others], targets[:100], kind, classes)
    error = (readout.scores(x[100:]) - without.scores(x[100:, others])).abs().max()
    assert float(error) < 1e-3 * float(readout.scores(x[100:]).std())


def test_other_features_keep_their_deviation() -> None:
    x = draw(50, 6) * torch.tensor([1.0, 2, 0.5, 1, 0.05, 1])
    mean, std = moments(x)
    assert torch.equal(mean, x.mean(0)) and torch.equal(std, x.std(0))
    silent = torch.cat([x, torch.zeros(50, 1)], 1)
    rms = float(silent.std(0).square().mean().sqrt())
    assert float(moments(silent)[1][-1]) == pytest.approx(rms)
    assert moments(torch.ones(5, 3))[1].tolist() == pytest.approx([1e-6] * 3)
