"""White and coloured noise."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import torch
from scipy.signal import welch

from audioinv.audio.augment import ColouredNoise, WhiteNoise
from audioinv.core.augmentation import Augmentation

RATE = 8000
both = pytest.mark.parametrize("augmentation", [WhiteNoise(), ColouredNoise()])


@both
@pytest.mark.parametrize("n", [997, 8000])
def test_the_snr_is_exact(augmentation: Augmentation, n: int, sounds: ModuleType) -> None:
    x = sounds.noise(32, n) * torch.logspace(-4, 1, 32)[:, None]
    params = augmentation.sample(32, torch.Generator().manual_seed(0))
    added = augmentation.apply(x.double(), params) - x
    snr_db = 10 * torch.log10(x.square().mean(1) / added.square().mean(1))
    torch.testing.assert_close(snr_db.float(), params[:, 0], atol=0.1, rtol=0)


@both
def test_offsets_choose_the_noise(augmentation: Augmentation, sounds: ModuleType) -> None:
    x = sounds.noise(1, 4000).expand(3, -1)
    params = augmentation.sample(1, torch.Generator().manual_seed(0)).repeat(3, 1)
    params[1, -1] += 20_000
    first, second, third = augmentation.apply(x, params) - x
    assert torch.equal(first, third)
    assert torch.cosine_similarity(first, second, dim=0).abs() < 0.2


def slope(noise: torch.Tensor) -> float:
    """d log(power) / d log(f) between 60 and 3500 Hz."""
    frequency, power = welch(noise.numpy(), RATE, nperseg=2048)
    inside = (frequency > 60) & (frequency < 3500)
    return float(np.polyfit(np.log(frequency[inside]), np.log(power[inside]), 1)[0])


def test_power_falls_with_frequency_to_the_decay() -> None:
    decays = torch.tensor([-2.0, -1.0, -0.3, 0.0, 1.0, 2.0])
    x = torch.ones(len(decays), 2**17)
    params = torch.stack([torch.zeros(6), decays, 50_000 * torch.arange(6.0)], 1)
    for noise, decay in zip(ColouredNoise().apply(x, params) - x, decays.tolist(), strict=True):
        assert abs(slope(noise) + decay) < 0.1


def test_white_noise_is_flat_and_normal() -> None:
    noise = WhiteNoise().apply(torch.ones(1, 2**17), torch.tensor([[0.0, 3.0]]))[0] - 1
    assert abs(slope(noise)) < 0.05
    assert abs(noise.mean()) < 0.02
    assert abs(noise.pow(4).mean() / noise.square().mean() ** 2 - 3) < 0.1
