from __future__ import annotations

import math
from types import ModuleType

import pytest
import torch

from audioinv.augment import TimeShift


@pytest.mark.parametrize("n", [800, 801])
@pytest.mark.parametrize("samples", [-400, -37, 1, 250, 400])
def test_whole_samples_roll_exactly(n: int, samples: int, sounds: ModuleType) -> None:
    x = sounds.noise(2, n)
    y = TimeShift().apply(x, torch.full((2, 1), samples / n))
    torch.testing.assert_close(y, x.roll(samples, 1), atol=1e-6, rtol=0)


def test_a_fraction_of_a_sample_delays_a_periodic_tone_by_it() -> None:
    n, delay = 1000, 12.3
    time = torch.arange(n, dtype=torch.float64)
    x = torch.sin(2 * math.pi * 37 * time / n)
    y = TimeShift().apply(x[None], torch.tensor([[delay / n]], dtype=torch.float64))[0]
    torch.testing.assert_close(y, torch.sin(2 * math.pi * 37 * (time - delay) / n))


def test_energy_is_kept(sounds: ModuleType) -> None:
    x = sounds.noise(64, 8000)
    shift = TimeShift()
    y = shift.apply(x, shift.sample(64, torch.Generator().manual_seed(0)))
    torch.testing.assert_close(y.square().sum(1), x.square().sum(1), rtol=2e-3, atol=0)
