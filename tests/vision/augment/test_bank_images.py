from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.core.augmentation import Augmentation
from audioinv.core.bank import AugmentationBank
from vision.augment import AUGMENTATIONS, GROUPS, build_bank

Pictures = Callable[..., Tensor]
SIMCLR = ["crop", "colour_jitter", "grayscale", "blur", "solarise"]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def moco() -> AugmentationBank:
    """The MoCo setting of Chavhan et al. (2023)."""
    both = {"colour_jitter": 0.8, "grayscale": 0.2, "blur": 0.5, "solarise": 0.5}
    return build_bank(groups=GROUPS, probabilities={"appearance": {"solarise": 0.5}, "all": both})


def test_the_three_groupings() -> None:
    every, two, five = build_bank(), build_bank(groups=GROUPS), build_bank(SIMCLR, min_active=2)
    assert every.space.names == tuple(AUGMENTATIONS) and every.space.size == 9
    assert two.space.names == ("spatial", "appearance") and len(two.space.corners) == 3
    assert five.space.names == tuple(SIMCLR) and len(five.space.corners) == 26
    order = [name for name in AUGMENTATIONS if name in (*GROUPS["spatial"], *GROUPS["appearance"])]
    assert list(two.augmentations) == order


@pytest.mark.parametrize(
    ("corner", "expected"),
    [
        ("spatial", (1, 0.5, 0, 0, 0, 0)),
        ("appearance", (0, 0, 1, 1, 1, 0.5)),
        ("all", (1, 0.5, 0.8, 0.2, 0.5, 0.5)),
    ],
)
def test_the_paper_s_moco_probabilities(corner: str, expected: tuple[float, ...]) -> None:
    bank = moco()
    for params in bank.sample_pair(4000, bank.space.parse(corner), seeded()):
        acted = {
            name: float(a.acts(params[name]).float().mean())
            for name, a in bank.augmentations.items()
        }
        names = ("crop", "horizontal_flip", "colour_jitter", "grayscale", "blur", "solarise")
        assert tuple(acted[n] for n in names) == pytest.approx(expected, abs=0.03)


def test_each_group_changes_what_it_should(pictures: Pictures) -> None:
    bank, x = moco(), pictures(1, 32, 32).expand(8, -1, -1, -1)
    (look, other_look), _ = bank.views(x, bank.space.parse("appearance"), seeded())
    assert torch.allclose(look, look[:, :1].expand_as(look), atol=1e-6)  # grey
    assert not torch.equal(look, other_look)
    (place, other_place), _ = bank.views(x, bank.space.parse("spatial"), seeded())
    assert (place.amax((2, 3)) <= x.amax((2, 3))).all()  # no colour that was not there
    assert (place.amin((2, 3)) >= x.amin((2, 3)) - 1e-6).all()
    assert ((place - other_place).abs().amax((1, 2, 3)) > 0.05).all()


def test_views_differ_only_where_a_component_is_active(pictures: Pictures) -> None:
    bank, x = build_bank(["crop", "hue"]), pictures(4, 16, 16)
    descriptor = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    (first, second), _ = bank.views(x, descriptor, seeded())
    assert torch.equal(first[0], x[0]) and torch.equal(second[0], x[0])
    for view in (first, second):  # a hue shift keeps every pixel's brightest channel
        torch.testing.assert_close(view[1].amax(0), x[1].amax(0))
    assert all(not torch.allclose(first[row], second[row], atol=0.02) for row in (1, 2, 3))


def test_ranges_reach_the_augmentations() -> None:
    bank = build_bank(ranges={"blur": {"max_sigma": 1.0}})
    assert bank.augmentations["blur"].parameters[0].high == 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": ["crop", "pitch_shift"]}, r"pitch_shift.*names.*cutout"),
        ({"groups": {"a": ["warp"]}}, r"warp.*groups.*cutout"),
        ({"ranges": {"blur": {"radius": 1}}}, r"radius.*blur.*max_sigma"),
        ({"names": ["crop"], "groups": {"a": ["blur"]}}, r"leaves out crop.*bank.names"),
        (
            {"groups": GROUPS, "probabilities": {"spatial": {"blur": 0.5}}},
            r"spatial.*blur.*\['crop', 'horizontal_flip'\]",
        ),
        ({"min_active": 10}, r"min_active.*10.*0 to 9"),
    ],
)
def test_mistakes_are_named(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_bank(**options)


every = pytest.mark.parametrize("augmentation", build_bank().augmentations.values())


@every
def test_black_white_and_grey_images_are_unchanged_by_the_identity(
    augmentation: Augmentation,
) -> None:
    x = torch.tensor([0.0, 1.0, 0.3]).view(3, 1, 1, 1).expand(3, 3, 8, 8)
    assert torch.equal(augmentation.apply(x, augmentation.identity(3)), x)


@every
@given(seed=st.integers(0, 2**32), height=st.integers(1, 24), width=st.integers(1, 24))
@settings(max_examples=15, deadline=None)
def test_results_stay_in_range_at_every_size(
    augmentation: Augmentation, seed: int, height: int, width: int, pictures: Pictures
) -> None:
    x = pictures(4, height, width, seed)
    x[1] = x[1].round()  # saturated colours
    x[2] = 1.0
    y = augmentation.apply(x, augmentation.sample(4, seeded(seed)))
    assert y.shape == x.shape and y.min() >= 0 and y.max() <= 1
