from __future__ import annotations

from types import ModuleType
from typing import Any

import audiomentations
import pytest
import torch

from audioinv.audio.augment import AUGMENTATIONS, GROUPS, AudiomentationsAugmentation, build_bank
from audioinv.base.errors import UserError

PITCH = "audiomentations.PitchShift"
ORDER = (
    "pitch_shift",
    "time_stretch",
    "time_shift",
    "fade",
    "time_mask",
    "white_noise",
    "coloured_noise",
)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_seven_components_or_two() -> None:
    single, grouped = build_bank(8000, min_active=2), build_bank(8000, groups=GROUPS)
    assert single.space.names == tuple(AUGMENTATIONS) == tuple(single.augmentations) == ORDER
    assert grouped.space.names == ("frequency", "time") and tuple(grouped.augmentations) == ORDER
    assert len(single.space.corners) == 2**7 - 8 and len(grouped.space.corners) == 3


def test_views_differ_only_where_a_component_is_active(sounds: ModuleType) -> None:
    x = sounds.noise(4, 4000)
    bank = build_bank(8000, groups={"noise": ("white_noise",), "mask": ("time_mask",)})
    descriptor = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    (first, second), _ = bank.views(x, descriptor, seeded())
    assert torch.equal(first[0], x[0]) and torch.equal(second[0], x[0])
    masked = [(view[1] != x[1]).float().mean() for view in (first, second)]
    assert all(0 < fraction < 0.2 for fraction in masked)  # the mask alone: at most 1/8
    for row in (2, 3):
        assert (first[row] != x[row]).float().mean() > 0.99
        assert not torch.allclose(first[row], second[row])


@pytest.mark.parametrize("groups", [None, GROUPS])
def test_every_augmentation_together_stays_finite(
    groups: dict[str, tuple[str, ...]] | None, sounds: ModuleType
) -> None:
    bank = build_bank(8000, groups=groups)
    (first, second), _ = bank.views(sounds.noise(6, 4000), bank.space.all_on(), seeded())
    assert first.isfinite().all() and second.isfinite().all()
    assert ((first - second).abs().amax(1) > 0.1).all()


def test_shared_inactive_augmentations_change_both_views_alike(sounds: ModuleType) -> None:
    x = sounds.noise(3, 4000)
    bank = build_bank(8000, names=["white_noise", "time_shift"], inactive="shared")
    (first, second), _ = bank.views(x, torch.zeros(2), seeded())
    assert torch.equal(first, second)
    assert ((first - x).abs().amax(1) > 0.1).all()


def test_names_run_in_the_order_of_the_bank_and_extras_last(sounds: ModuleType) -> None:
    gain = AudiomentationsAugmentation(audiomentations.Gain(-6, -6), 8000)
    bank = build_bank(8000, names=["fade", "pitch_shift"], extra=[gain])
    assert tuple(bank.augmentations) == bank.space.names == ("pitch_shift", "fade", "gain")
    x = sounds.noise(2, 1000)
    (view, _), _ = bank.views(x, bank.space.corner(["gain"]), seeded())
    torch.testing.assert_close(view, x * 10 ** (-6 / 20))
    grouped = build_bank(
        8000, groups={"pitch": ["pitch_shift"], "level": ["fade", "gain"]}, extra=[gain]
    )
    assert grouped.space.names == ("pitch", "level")


def test_ranges_reach_the_augmentations() -> None:
    bank = build_bank(8000, ranges={"pitch_shift": {"min_semitones": -1, "max_semitones": 2}})
    (semitones,) = bank.augmentations["pitch_shift"].parameters
    assert (semitones.low, semitones.high) == (-1, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": ["pitch_shift", "reverb"]}, "unknown augmentation reverb in names.*time_mask"),
        ({"groups": {"a": ["reverb"]}}, "unknown augmentation reverb in groups.*time_mask"),
        ({"ranges": {"reverb": {}}}, "unknown augmentation reverb in ranges"),
        ({"ranges": {"fade": {"max_s": 1}}}, "unknown option max_s of fade; give max_fraction"),
        ({"ranges": {"pitch_shift": {"sample_rate": 1}}}, "unknown option sample_rate"),
        ({"names": ["fade"], "groups": {"a": ["time_mask"]}}, "leaves out fade"),
        ({"inactive": "off"}, "give identity or shared"),
        ({"min_active": 9}, r"min_active.*9.*0 to 7"),
    ],
)
def test_mistakes_are_named(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_bank(8000, **options)


def test_what_inference_mode_cached_still_serves_training(sounds: ModuleType) -> None:
    n = 1237  # a length of its own, so that nothing is cached yet
    x = sounds.noise(2, n)
    bank = build_bank(16000).augmentations
    with torch.inference_mode():
        for augmentation in bank.values():
            augmentation.apply(x, augmentation.sample(2, seeded()))
    for augmentation in bank.values():
        params = augmentation.sample(2, seeded()).requires_grad_()
        augmentation.apply(x.clone().requires_grad_(), params).sum().backward()


@pytest.mark.parametrize("name", ["pitch_shift", "time_stretch"])
def test_a_sample_rate_that_makes_no_sense_is_named(name: str) -> None:
    with pytest.raises(UserError, match="sample_rate is 0"):
        build_bank(0, names=[name])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"groups": {"a": []}}, "component a switches nothing; name augmentations"),
        ({"groups": {"all": ["fade"]}}, "called 'all', which descriptors mean otherwise"),
        ({"groups": {"a+b": ["fade"]}}, "called 'a[+]b'"),
        ({"groups": {}}, r"at least one component, such as bank\.groups="),
        ({"names": ["fade", "time_mask"], "groups": {"a": ["fade"]}}, "leaves out time_mask"),
        ({"names": ["fade"], "groups": {"a": ["fade", "time_mask"]}}, "has time_mask, which"),
        (
            {"names": ["fade", "pitch_shift"], "audiomentations": [{"_target_": PITCH}]},
            r"called pitch_shift; leave one out, ours by bank\.names=\[fade\]",
        ),
        (
            {"names": ["fade"], "audiomentations": [{"_target_": "audiomentations.Gain"}] * 2},
            "two augmentations are called gain; leave one out$",
        ),
        (
            {"audiomentations": [{"_target_": "audiomentations.PithcShift"}]},
            r"did you mean PitchShift\?",
        ),
        ({"names": ["pich_shift"]}, r"did you mean pitch_shift\?"),
        ({"ranges": {"fade": {"max_fration": 1}}}, r"did you mean max_fraction\?"),
    ],
)
def test_what_no_bank_can_be_made_of_comes_with_a_remedy(options: Any, told: str) -> None:
    with pytest.raises(UserError, match=told):
        build_bank(8000, **options)
