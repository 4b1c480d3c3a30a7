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


def paper(
    probabilities: dict[str, dict[str, float]] | None = None, probability: float = 1.0
) -> AugmentationBank:
    """Two groups, of one and of two augmentations, whose amounts tell which of them acted."""
    augmentations = [Add("one", 1, 1), Add("ten", 10, 10), Add("hundred", 100, 100)]
    space = DescriptorSpace({"low": ("one",), "high": ("ten", "hundred")})
    return AugmentationBank(
        augmentations, space, probability=probability, probabilities=probabilities
    )


def shares(view: Tensor) -> list[float]:
    """How often "one", "ten" and "hundred" acted on a view of zeros (n, 1)."""
    digits = [view.flatten().long() // base % 10 for base in (1, 10, 100)]
    return [float(digit.float().mean()) for digit in digits]


def test_probabilities_of_a_corner_hold_at_that_corner_only() -> None:
    bank = paper({"high": {"hundred": 0.5}, "all": {"one": 0.8, "ten": 0.0}}, probability=0.9)
    expected = {"low": [0.9, 0, 0], "high": [0, 0.9, 0.5], "all": [0.8, 0.0, 0.9]}
    for label, shares_there in expected.items():
        descriptor = 0.7 * bank.space.parse(label)  # stands for the corner it rounds to
        views, _ = bank.views(torch.zeros(4000, 1), descriptor, generator(6, label))
        for view in views:
            assert shares(view) == pytest.approx(shares_there, abs=0.03)


def test_a_probability_of_every_corner_holds_where_a_corner_has_none_of_its_own() -> None:
    bank = paper({"high": {"hundred": 0.1}, "every": {"ten": 0.2, "hundred": 0.5}}, 0.9)
    expected = {"low": [0.9, 0, 0], "high": [0, 0.2, 0.1], "all": [0.9, 0.2, 0.5]}
    for label, shares_there in expected.items():
        views, _ = bank.views(torch.zeros(4000, 1), bank.space.parse(label), generator(9, label))
        for view in views:
            assert shares(view) == pytest.approx(shares_there, abs=0.03)


def test_probabilities_follow_a_descriptor_per_example() -> None:
    bank = paper({"high": {"ten": 0.25}, "all": {"ten": 0.75, "hundred": 0.5}})
    corners = bank.space.corners.repeat(4000, 1)  # high, low, all, high, ...
    (view, _), _ = bank.views(torch.zeros(12000, 1), corners, generator(7, "t"))
    expected = {"high": [0, 0.25, 1], "low": [1, 0, 0], "all": [1, 0.75, 0.5]}
    for k, corner in enumerate(bank.space.corners):
        assert shares(view[k::3]) == pytest.approx(expected[bank.space.label(corner)], abs=0.03)


def test_probabilities_change_no_draw_where_they_do_not_hold() -> None:
    """Without them, and at other corners, the parameters are those of one draw after the other."""
    descriptor = torch.tensor([1.0, 0.0]).repeat(50, 1)
    for bank in (paper(probability=0.7), paper({"all": {"one": 0.1}}, probability=0.7)):
        params = bank.sample(50, descriptor, generator(8, "t"))
        draw = generator(8, "t")
        for name, low in {"one": 1.0, "ten": 0.0, "hundred": 0.0}.items():
            acts = torch.rand(50, 1, generator=draw) < 0.7
            torch.rand(50, 1, generator=draw)
            assert torch.equal(params[name], torch.where(acts, low, 0.0))


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        ({"middle": {"one": 0.5}}, "unknown component middle; this space has low, high"),
        ({"low+high": {"one": 0.5}}, r"a corner 'low\+high'; it is called all"),
        ({"low": {"two": 0.5}}, r"of low name two; active there: \['one'\]"),
        ({"low": {"ten": 0.5}}, r"of low name ten; active there: \['one'\]"),
        ({"all": {"ten": 1.5}}, "probability of ten at all is 1.5; give 0 to 1"),
        ({"all": {"ten": float("nan")}}, "probability of ten at all is nan"),
        ({"every": {"two": 0.5}}, r"of every name two; active there: \['one', 'ten', 'hundred'\]"),
        ({"every": {"ten": -0.5}}, "probability of ten at every is -0.5"),
    ],
)
def test_a_mistake_in_probabilities_is_named(
    probabilities: dict[str, dict[str, float]], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        paper(probabilities)
