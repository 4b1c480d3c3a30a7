"""Augmentations made of functions: through the bank they are as any other."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import audioinv as ai
from audioinv.base.errors import UserError
from audioinv.base.randomness import generator
from audioinv.core.penalty import penalised

X = torch.randn(40, 3, 5, generator=generator(0, "x"))
GAIN = ai.Parameter("gain", "factor", 0.5, 2.0, 1.0)
SHIFT = ai.Parameter("shift", "", 1.0, 2.0, 0.0)
TILT = ai.Parameter("tilt", "", -1.0, 1.0, 0.0)


def gain(x: Tensor, params: Tensor) -> Tensor:
    return x * params[:, 0, None, None]


def line(x: Tensor, params: Tensor) -> Tensor:
    """At its identity it would still round."""
    return (x + 1e8) - 1e8 + params[:, 0, None, None] + params[:, 1, None, None] * x


def make_bank() -> ai.Bank:
    return ai.Bank([ai.augmentation(gain, [GAIN]), ai.augmentation(line, (SHIFT, TILT), "moved")])


def test_a_bank_of_functions_has_a_component_for_each() -> None:
    bank = make_bank()
    assert bank.space.names == ("gain", "moved")
    assert bank.space.groups == {"gain": ("gain",), "moved": ("moved",)}
    grouped = ai.Bank(
        list(bank.augmentations.values()), ai.DescriptorSpace({"both": list(bank.augmentations)})
    )
    assert grouped.space.size == 1


def test_views_are_what_the_functions_make_of_their_rows() -> None:
    bank, on = make_bank(), torch.tensor([1.0, 0.0])
    (first, second), params = bank.views(X, on, generator(0, "views"))
    for view, drawn in zip((first, second), params, strict=True):
        rows = drawn["gain"]
        assert rows.min() >= 0.5 and rows.max() <= 2 and rows.std() > 0.2
        assert torch.equal(view, gain(X, rows))
        assert not drawn["moved"].any()
    assert not torch.equal(first, second)
    (first, _), (params_1, _) = bank.views(X, torch.ones(2), generator(0, "views"))
    assert torch.equal(first, line(gain(X, params_1["gain"]), params_1["moved"]))


def test_rows_at_the_identity_come_back_unchanged_and_keep_their_gradient() -> None:
    moved = make_bank().augmentations["moved"]
    params = torch.tensor([[0.0, 0.0], [1.0, 0.5]]).repeat(20, 1).requires_grad_()
    y = moved.apply(X, params)
    assert torch.equal(y[::2], X[::2]) and not torch.equal(line(X, params)[::2], X[::2])
    assert torch.equal(y[1::2], line(X, params)[1::2])
    y.sum().backward()
    assert params.grad is not None and bool((params.grad[:, 0] == 15).all())
    assert torch.equal(moved.identity(3), torch.zeros(3, 2))


def test_it_may_be_penalised_unless_it_is_opaque() -> None:
    assert penalised(make_bank()) == ["gain", "moved"]
    opaque = ai.augmentation(line, [SHIFT, TILT], name="moved", opaque=True)
    with pytest.raises(UserError, match="no gradient passes moved"):
        penalised(ai.Bank([ai.augmentation(gain, [GAIN]), opaque]))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"parameters": []}, "gain has no parameters; give one ai.Parameter or more"),
        ({"name": "a b"}, "name is 'a b'"),
        ({"function": lambda x, params: x}, "name is '<lambda>'; give name="),
        (
            {"parameters": [ai.Parameter("g", "dB", 2.0, 1.0, 0.0)]},
            r"gain\.g ranges from 2\.0 to 1",
        ),
        ({"parameters": [ai.Parameter("g", "dB", math.nan, 1.0, 0.0)]}, r"gain\.g ranges from nan"),
    ],
)
def test_mistakes_are_named(given: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        ai.augmentation(**{"function": gain, "parameters": [GAIN], **given})


@pytest.mark.parametrize("made", [lambda x, p: x[:, :1], lambda x, p: None, lambda x, p: x.sum()])
def test_a_function_that_makes_something_else_is_named(made: Any) -> None:
    with pytest.raises(UserError, match=r"augmentation odd makes .* of \(40, 3, 5\)"):
        ai.augmentation(made, [GAIN], name="odd").apply(X, torch.full((40, 1), 2.0))
