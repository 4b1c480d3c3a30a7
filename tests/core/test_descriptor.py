from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator
from audioinv.core.descriptor import DescriptorSpace

NAMES = ("pitch", "noise", "shift", "fade", "mask")


def test_paper_spaces_have_the_papers_number_of_corners() -> None:
    assert len(DescriptorSpace.single(NAMES, min_active=2).corners) == 26  # 2^5 - 5 - 1
    groups = DescriptorSpace({"spatial": ("crop", "flip"), "appearance": ("jitter",)}, 1)
    assert groups.corners.tolist() == [[0, 1], [1, 0], [1, 1]]


@given(st.integers(1, 7), st.integers(0, 3), st.integers(0, 2**31))
def test_sampled_corners_are_allowed(k: int, min_active: int, seed: int) -> None:
    space = DescriptorSpace.single([f"a{n}" for n in range(k)], min(min_active, k))
    corner = space.sample(torch.Generator().manual_seed(seed))
    assert set(corner.tolist()) <= {0.0, 1.0}
    assert corner.sum() >= space.min_active


def test_sampling_is_uniform_over_corners() -> None:
    space = DescriptorSpace.single(NAMES[:3])
    drawn = torch.stack([space.sample(generator(0, "test", n)) for n in range(7000)])
    codes = (drawn * torch.tensor([4, 2, 1])).sum(1).long()
    counts = codes.bincount(minlength=8)
    assert counts[0] == 0
    assert bool(((counts[1:] - 1000).abs() < 150).all())


@given(st.lists(st.floats(0, 1, width=32), min_size=5, max_size=5))
def test_dictionary_and_json_round_trip(values: list[float]) -> None:
    space = DescriptorSpace.single(NAMES, 2)
    descriptor = torch.tensor(values)
    assert torch.equal(space.from_dict(space.to_dict(descriptor)), descriptor)
    assert DescriptorSpace.from_json(space.to_json()).names == space.names


@pytest.mark.parametrize("value", [None, "many", [1]], ids=repr)
def test_a_value_that_is_no_number_is_refused(value: Any) -> None:
    space = DescriptorSpace.single(NAMES[:2])
    with pytest.raises(UserError, match=re.escape(f"'{NAMES[1]}': {value!r}")):
        space.from_dict({NAMES[0]: 1.0, NAMES[1]: value})


def test_expand_repeats_a_component_for_its_augmentations() -> None:
    space = DescriptorSpace({"frequency": ("pitch", "noise"), "time": ("shift",)})
    expanded = space.expand(torch.tensor([[0.2, 0.7]]))
    torch.testing.assert_close(expanded, torch.tensor([[0.2, 0.2, 0.7]]))


def test_parse_and_label_name_corners() -> None:
    space = DescriptorSpace.single(NAMES)
    assert space.parse("all").tolist() == [1, 1, 1, 1, 1]
    assert space.parse("none").tolist() == [0, 0, 0, 0, 0]
    assert space.parse("pitch+mask").tolist() == [1, 0, 0, 0, 1]
    assert space.parse("-pitch").tolist() == [0, 1, 1, 1, 1]
    assert space.label(space.parse("noise+fade")) == "noise+fade"
    assert space.label(space.parse("all")) == "all"
    assert space.round(torch.tensor([0.5, 0.49, 1.0, 0.0, 0.51])).tolist() == [1, 0, 1, 0, 1]


@pytest.mark.parametrize(
    "bad", [torch.tensor([0.5]), torch.full((5,), 1.5), torch.full((5,), float("nan"))]
)
def test_what_is_no_descriptor_is_refused(bad: torch.Tensor) -> None:
    with pytest.raises(UserError):
        DescriptorSpace.single(NAMES).check(bad)


def test_unknown_components_are_named() -> None:
    with pytest.raises(UserError, match=r"pich.*pitch"):
        DescriptorSpace.single(NAMES).parse("pich")
