"""The projection head: its layers, and what of the features it sees."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from audioinv.base.randomness import generator, seeded
from audioinv.core.descriptor import DescriptorSpace
from audioinv.core.projector import Projector

SPACE = DescriptorSpace.single(["a", "b"])
ON = SPACE.all_on()


def features(n: int, d: int) -> Tensor:
    return torch.randn(n, d, generator=generator(0, "features"))


def test_without_batch_norm_it_is_linear_relu_linear_with_biases() -> None:
    """The projector that Chavhan et al. released; an example's projection is its own."""
    with seeded(0, "head"):
        projector = Projector(SPACE, 5, 7, 3, "per_descriptor", batch_norm=False)
    assert len(projector.heads) == 3
    x = features(4, 5)
    first, _, last = heads = projector.heads[2]  # of all on, the last corner
    assert len(heads) == 3 and bool(first.bias.ne(0).all())
    expected = F.linear(F.relu(F.linear(x, first.weight, first.bias)), last.weight, last.bias)
    torch.testing.assert_close(projector(x, ON), expected)
    torch.testing.assert_close(projector(x[:1], ON), expected[:1])


def test_batch_norm_between_layers_is_the_default() -> None:
    kinds = [type(layer).__name__ for layer in Projector(SPACE, 5, layers=3).heads[0]]
    assert kinds == ["Linear", "BatchNorm1d", "ReLU"] * 2 + ["Linear"]


@pytest.mark.parametrize("kind", ["none", "shared"])
def test_dropout_leaves_out_a_share_of_the_features_in_training(kind: str) -> None:
    """Those left grow, so that their expectation stays; a linear head tells which they were."""
    projector: Any = Projector(SPACE, 1000, dim=1000, kind=kind, layers=1, dropout=0.2)
    if kind == "shared":
        projector.heads[0][0].weight.data = torch.eye(1000)
        projector.heads[0][0].bias.data.zero_()
    x = 1 + features(8, 1000).abs()
    with seeded(0, "dropout"):
        seen = projector(x, ON)
    gone = seen == 0
    assert float(gone.float().mean()) == pytest.approx(0.2, abs=0.02)
    torch.testing.assert_close(seen[~gone], x[~gone] / 0.8)
    assert torch.equal(projector.eval()(x, ON), x)
