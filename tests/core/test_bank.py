from __future__ import annotations

from collections import Counter
from itertools import permutations

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator
from audioinv.core.augmentation import Augmentation, Parameter
from audioinv.core.bank import AugmentationBank, shown_rows
from audioinv.core.descriptor import DescriptorSpace


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
    with pytest.raises(UserError, match=r"\['small'\].*\['other'\]"):
        AugmentationBank([Add("small", 0, 1)], DescriptorSpace.single(["other"]))
    with pytest.raises(UserError, match=r"inactive.*'sometimes'.*identity.*shared"):
        bank("sometimes")


def test_probability_leaves_that_share_of_examples_alone() -> None:
    augmentations = [Add("small", 1, 2), Add("large", 100, 200)]
    space = DescriptorSpace.single(["small", "large"], 0)
    half = AugmentationBank(augmentations, space, probability=0.5)
    (view, other), _ = half.views(torch.zeros(4000, 1), torch.tensor([0.0, 1.0]), generator(5, "t"))
    acted, acted_too = view.ne(0).flatten(), other.ne(0).flatten()
    assert 0.45 < acted.float().mean() < 0.55
    assert 0.2 < (acted & acted_too).float().mean() < 0.3  # the two views are drawn apart
    with pytest.raises(UserError, match=r"probability.*0\.0.*\(0, 1\]"):
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
        ({"low+high": {"one": 0.5}}, r"probabilities.*'low\+high'.*all"),
        ({"low": {"two": 0.5}}, r"low.*two.*\['one'\]"),
        ({"low": {"ten": 0.5}}, r"low.*ten.*\['one'\]"),
        ({"all": {"ten": 1.5}}, r"ten.*all.*1\.5.*0 to 1"),
        ({"all": {"ten": float("nan")}}, r"ten.*all.*nan.*0 to 1"),
        ({"every": {"two": 0.5}}, r"of every name two; active there: \['one', 'ten', 'hundred'\]"),
        ({"every": {"ten": -0.5}}, "probability of ten at every is -0.5"),
    ],
)
def test_a_mistake_in_probabilities_is_named(
    probabilities: dict[str, dict[str, float]], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        paper(probabilities)


class Write(Augmentation):
    """10 x + its digit: a view tells what acted on it, and in which order."""

    def __init__(self, digit: int) -> None:
        self.name = f"write {digit}"
        self.parameters = (Parameter("digit", "", digit, digit, 0.0), Parameter("ink", "", 1, 2, 0))

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        return 10 * x + params[:, :1]


def writing(n: int = 7, acting: str = "shared_uniform", order: str = "random") -> AugmentationBank:
    augmentations = [Write(digit) for digit in range(1, n + 1)]
    space = DescriptorSpace.single([a.name for a in augmentations], 0)
    return AugmentationBank(augmentations, space, acting=acting, order=order)


def written(n: int, descriptor: Tensor, size: int = 7) -> list[list[str]]:
    """Of both views of `n` clips, the digits in the order in which they were written."""
    views, _ = writing(size).views(
        torch.zeros(n, 1, dtype=torch.float64), descriptor, generator(0, "w")
    )
    return [[str(int(value)).lstrip("0") for value in view.flatten().tolist()] for view in views]


def test_views_share_what_acts_and_how_many_is_uniform() -> None:
    first, second = written(7000, torch.ones(7))
    assert first == second, "which augmentations, and their order"
    sizes = Counter(len(word) for word in first)
    assert sorted(sizes) == [1, 2, 3, 4, 5, 6, 7]
    assert chisquare(list(sizes.values())).pvalue > 1e-3
    pairs = Counter("".join(sorted(word)) for word in first if len(word) == 2)
    assert len(pairs) == 21 and chisquare(list(pairs.values())).pvalue > 1e-3


def test_parameters_are_drawn_for_each_view_of_a_shared_set() -> None:
    bank = writing()
    first, second = bank.sample_pair(50, torch.ones(7), generator(0, "p"))
    for name, augmentation in bank.augmentations.items():
        acts = augmentation.acts(first[name])
        assert torch.equal(acts, augmentation.acts(second[name])) and 0 < acts.sum() < 50
        assert bool((first[name] != second[name])[acts, 1].all())


def test_every_order_is_as_likely_and_clips_have_their_own() -> None:
    words = Counter(word for word in written(6000, torch.ones(3), 3)[0] if len(word) == 3)
    assert sorted(words) == sorted("".join(p) for p in permutations("123"))
    assert chisquare(list(words.values())).pvalue > 1e-3


def test_a_set_is_drawn_among_what_the_descriptor_turns_on() -> None:
    descriptor = torch.tensor([[1.0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]]).repeat(800, 1)
    first, second = written(2400, descriptor, 4)
    assert first == second
    sizes = Counter(len(word) for word in first[::3])
    assert set("".join(first[::3])) == {"1", "3"}
    assert sorted(sizes) == [1, 2] and chisquare(list(sizes.values())).pvalue > 1e-3
    assert set(first[1::3]) == {""} and set(first[2::3]) == {"4"}


def test_sets_and_orders_are_keyed_and_do_not_depend_on_who_shares_a_batch() -> None:
    bank, x = writing(), torch.randn(9, 2, dtype=torch.float64, generator=generator(0, "x"))
    (whole, other), _ = bank.views(x, torch.ones(7), generator(3, "t"))
    (again, _), _ = bank.views(x, torch.ones(7), generator(3, "t"))
    (changed, _), _ = bank.views(x, torch.ones(7), generator(4, "t"))
    assert torch.equal(whole, again) and not torch.equal(whole, changed)
    for own in (slice(0, 4), slice(4, 9)):
        parts, _ = bank.views(x[own], torch.ones(7), generator(3, "t"), total=9, own=own)
        assert torch.equal(parts[0], whole[own]) and torch.equal(parts[1], other[own])


def test_without_them_views_are_those_of_one_draw_after_the_other() -> None:
    bank = writing(3, "independent", "bank")
    (first, second), params = bank.views(torch.zeros(20, 1), torch.ones(3), generator(5, "t"))
    draw = generator(5, "t")
    for view, made in zip((first, second), params, strict=True):
        expected = torch.zeros(20, 1)
        for name, augmentation in bank.augmentations.items():
            torch.rand(20, 1, generator=draw)  # by which a probability would decide
            drawn = augmentation.sample(20, draw)
            assert torch.equal(made[name], drawn)
            expected = 10 * expected + drawn[:, :1]
        assert torch.equal(view, expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"acting": "alike"}, r"acting.*'alike'.*independent.*shared_uniform"),
        ({"order": "reversed"}, r"order.*'reversed'.*bank.*random"),
        ({"acting": "shared_uniform", "probability": 0.5}, r"acting=shared_uniform.*probability 1"),
        (
            {"acting": "shared_uniform", "probabilities": {"all": {"small": 0.5}}},
            "no probabilities, or acting=independent",
        ),
    ],
)
def test_mistakes_in_what_acts_are_named(options: dict, message: str) -> None:
    augmentations = [Add("small", 1, 2), Add("large", 100, 200)]
    space = DescriptorSpace.single(["small", "large"], 0)
    with pytest.raises(UserError, match=message):
        AugmentationBank(augmentations, space, **options)


@pytest.mark.parametrize("order", ["bank", "random"])
def test_twins_differ_in_what_is_off_and_only_there(order: str) -> None:
    names = ["small", "large"]
    space = DescriptorSpace.single(names, 0)
    plain = AugmentationBank([Add(n, 1, 2) for n in names], space, "shared", order=order)
    corner, x = torch.tensor([1.0, 0.0]), torch.randn(8, 3, generator=generator(0, "x"))
    bank = plain.with_twins(0.25)
    assert bank.twins_of(8, corner) == 2 and shown_rows(8, 2).tolist() == [0, 1, 2, 3, 4, 5, 0, 1]
    shown = x[shown_rows(8, 2)]
    views, params = bank.views(shown, corner, generator(3, "t"))
    _, before = plain.views(x, corner, generator(3, "t"))
    for view, usual in zip(params, before, strict=True):
        assert torch.equal(view["small"][6:], view["small"][:2])
        assert bool((view["large"][6:] != view["large"][:2]).all())
        assert torch.equal(view["large"], usual["large"])
        assert torch.equal(view["small"][:6], usual["small"][:6]), "others are as ever"
    assert torch.equal(params[0]["large"], params[1]["large"])
    assert bool((params[0]["small"] != params[1]["small"]).all())
    apart = params[0]["large"][6:] - params[0]["large"][:2]
    for view in views:
        torch.testing.assert_close(view[6:] - view[:2], apart.expand(-1, 3))
    halves = [bank.views(shown[own], corner, generator(3, "t"), (), 8, own)[0]
              for own in (slice(4), slice(4, 8))]  # fmt: skip
    assert all(torch.equal(torch.cat([a, b]), v) for a, b, v in zip(*halves, views, strict=True))


def test_without_twins_and_at_all_on_nothing_changes() -> None:
    """At all-on a twin would differ in nothing, and be no negative."""
    x, plain = torch.randn(8, 3, generator=generator(0, "x")), bank("shared")
    for fraction, corner in ((0.5, torch.ones(2)), (0.0, torch.tensor([1.0, 0.0]))):
        twinned = plain.with_twins(fraction)
        assert twinned.twins_of(8, corner) == 0 and shown_rows(8, 0).tolist() == list(range(8))
        drawn = [b.views(x, corner, generator(0, "t"))[0] for b in (plain, twinned)]
        assert all(torch.equal(a, b) for a, b in zip(*drawn, strict=True))


@pytest.mark.parametrize(("n", "fraction", "twins"), [(7, 0.5, 3), (10, 0.3, 3), (100, 0.29, 29)])
def test_every_twin_has_its_clip_in_the_batch(n: int, fraction: float, twins: int) -> None:
    assert bank("shared").with_twins(fraction).twins_of(n, torch.zeros(2)) == twins


@pytest.mark.parametrize(
    ("inactive", "fraction", "told"),
    [
        ("identity", 0.5, r"inactive is identity.*inactive=shared, or twins=0"),
        ("shared", 0.6, r"0\.6.*from 0, off, to 0\.5"),
        ("shared", -0.1, r"-0\.1.*0\.5"),
        ("shared", float("nan"), "nan"),
    ],
)
def test_twins_that_cannot_be_are_refused(inactive: str, fraction: float, told: str) -> None:
    with pytest.raises(UserError, match=told):
        bank(inactive).with_twins(fraction)
