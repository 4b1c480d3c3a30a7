from __future__ import annotations

import pytest
import torch
from torch import Tensor

from audioinv.core.bank import Augmentation, AugmentationBank, Parameter
from audioinv.core.descriptor import DescriptorSpace
from audioinv.core.errors import UserError
from audioinv.core.randomness import generator


class Add(Augmentation):
    """x + amount: easy to see."""

    def __init__(self, name: str, low: float, high: float) -> None:
        self.name = name
        self.parameters = (Parameter("amount", "", low, high, 0.0),)

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        return x + params


def bank(inactive: str = "identity") -> AugmentationBank:
    augmentations = [Add("small", 1, 2), Add("large", 100, 200)]
    return AugmentationBank(augmentations, DescriptorSpace.single(["small", "large"], 0), inactive)


def test_only_active_augmentations_change_a_view() -> None:
    x = torch.zeros(64, 3)
    (first, second), _ = bank().views(x, torch.tensor([1.0, 0.0]), generator(0, "t"))
    for view in (first, second):
        assert bool(((view >= 1) & (view <= 2)).all())
    assert not torch.equal(first, second)
    (unchanged, _), _ = bank().views(x, torch.zeros(2), generator(0, "t"))
    assert torch.equal(unchanged, x)


def test_a_descriptor_per_example_acts_per_example() -> None:
    descriptor = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    (view, _), _ = bank().views(torch.zeros(4, 1), descriptor, generator(1, "t"))
    small, large = view.flatten() % 100, view.flatten() // 100
    assert small[0] == 0 and large[0] == 0
    assert 1 <= small[1] <= 2 and large[1] == 0
    assert large[2] >= 1 and large[3] >= 1


def test_shared_inactive_parameters_are_equal_in_both_views_and_differ_between_clips() -> None:
    (first, second), _ = bank("shared").views(torch.zeros(16, 1), torch.zeros(2), generator(2, "t"))
    assert torch.equal(first, second)
    assert first.unique().numel() == 16


def test_views_depend_on_the_generator_only() -> None:
    x = torch.randn(8, 5, generator=generator(0, "x"))
    one, _ = bank().views(x, torch.ones(2), generator(3, "t"))
    two, _ = bank().views(x, torch.ones(2), generator(3, "t"))
    other, _ = bank().views(x, torch.ones(2), generator(4, "t"))
    assert torch.equal(one[0], two[0]) and torch.equal(one[1], two[1])
    assert not torch.equal(one[0], other[0])


def test_bank_and_space_must_agree() -> None:
    with pytest.raises(UserError, match="must agree"):
        AugmentationBank([Add("small", 0, 1)], DescriptorSpace.single(["other"]))
    with pytest.raises(UserError, match="identity or shared"):
        bank("sometimes")


def test_probability_leaves_that_share_of_examples_alone() -> None:
    augmentations = [Add("small", 1, 2), Add("large", 100, 200)]
    space = DescriptorSpace.single(["small", "large"], 0)
    half = AugmentationBank(augmentations, space, probability=0.5)
    (view, other), _ = half.views(torch.zeros(4000, 1), torch.tensor([0.0, 1.0]), generator(5, "t"))
    acted, acted_too = view.ne(0).flatten(), other.ne(0).flatten()
    assert 0.45 < acted.float().mean() < 0.55
    assert 0.2 < (acted & acted_too).float().mean() < 0.3  # the two views are drawn apart
    with pytest.raises(UserError, match="probability"):
        AugmentationBank(augmentations, space, probability=0.0)
