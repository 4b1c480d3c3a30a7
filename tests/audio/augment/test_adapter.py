from __future__ import annotations

import random
from types import ModuleType

import audiomentations
import numpy as np
import pytest
import torch

from audioinv.audio.augment import AudiomentationsAugmentation
from audioinv.base.errors import UserError

TRANSFORMS = {
    "gain": lambda: audiomentations.Gain(p=0.0),  # the adapter runs it all the same
    "add_gaussian_snr": lambda: audiomentations.AddGaussianSNR(p=1.0),
    "band_pass_filter": lambda: audiomentations.BandPassFilter(p=1.0),
    "shift": lambda: audiomentations.Shift(p=1.0),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_is_the_transform_itself_under_the_same_seed(name: str, sounds: ModuleType) -> None:
    augmentation = AudiomentationsAugmentation(TRANSFORMS[name](), 8000)
    x = 0.1 * sounds.noise(3, 4000)
    params = torch.tensor([[5.0], [-1.0], [2.0**24 - 1]])
    y = augmentation.apply(x, params)
    reference = TRANSFORMS[name]()
    reference.p = 1.0
    for row in (0, 2):
        random.seed(int(params[row]))
        np.random.seed(int(params[row]))
        expected = reference(x[row].numpy(), sample_rate=8000)
        torch.testing.assert_close(y[row], torch.tensor(expected))
        assert not torch.allclose(y[row], x[row])
    assert torch.equal(y[1], x[1])
    assert torch.equal(y, augmentation.apply(x, params))


def test_leaves_the_global_states_and_the_transform_alone(sounds: ModuleType) -> None:
    transform = audiomentations.AddGaussianSNR(p=0.25)
    augmentation = AudiomentationsAugmentation(transform, 8000)
    random.seed(1)
    np.random.seed(1)
    expected = random.random(), np.random.rand()
    random.seed(1)
    np.random.seed(1)
    augmentation.apply(sounds.noise(2, 100), torch.tensor([[3.0], [4.0]]))
    assert (random.random(), np.random.rand()) == expected
    assert transform.p == 0.25


def test_seeds_are_whole_and_follow_the_generator() -> None:
    augmentation = AudiomentationsAugmentation(audiomentations.Gain(), 8000)
    seeds = augmentation.sample(100, torch.Generator().manual_seed(0))
    assert torch.equal(seeds, seeds.round()) and (seeds >= 0).all() and len(seeds.unique()) > 95
    assert torch.equal(seeds, augmentation.sample(100, torch.Generator().manual_seed(0)))


def test_is_named_after_the_transform_unless_told() -> None:
    gaussian = audiomentations.AddGaussianSNR()
    assert AudiomentationsAugmentation(gaussian, 8000).name == "add_gaussian_snr"
    assert AudiomentationsAugmentation(gaussian, 8000, "hiss").name == "hiss"


def test_a_change_of_length_is_an_error(sounds: ModuleType) -> None:
    stretch = audiomentations.TimeStretch(0.5, 0.6, leave_length_unchanged=False)
    augmentation = AudiomentationsAugmentation(stretch, 8000)
    with pytest.raises(UserError, match=r"time_stretch made .* samples of 4000"):
        augmentation.apply(sounds.noise(1, 4000), torch.tensor([[1.0]]))


def test_what_is_no_transform_is_an_error() -> None:
    with pytest.raises(UserError, match="give an audiomentations transform"):
        AudiomentationsAugmentation("Gain", 8000)
