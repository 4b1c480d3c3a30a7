from __future__ import annotations

import math
from types import ModuleType

import pytest
import torch
from torch import Tensor

from audioinv.audio.augment import TimeShift


@pytest.mark.parametrize("n", [800, 801])
@pytest.mark.parametrize("samples", [-400, -37, 1, 250, 400])
def test_whole_samples_roll_exactly(n: int, samples: int, sounds: ModuleType) -> None:
    x = sounds.noise(2, n)
    y = TimeShift().apply(x, torch.full((2, 1), samples / n))
    torch.testing.assert_close(y, x.roll(samples, 1), atol=1e-6, rtol=0)


N = 1000


def tone(delay: Tensor | float = 0.0) -> Tensor:
    """37 periods in N samples, `delay` samples later."""
    time = torch.arange(N, dtype=torch.float64)
    return torch.sin(2 * math.pi * 37 * (time - delay) / N)


def shift_by(samples: float) -> Tensor:
    return torch.tensor([[samples / N]], dtype=torch.float64)


def test_a_fraction_of_a_sample_delays_a_periodic_tone_by_it() -> None:
    y = TimeShift(fractional=True).apply(tone()[None], shift_by(12.3))[0]
    torch.testing.assert_close(y, tone(12.3))


@pytest.mark.parametrize(("samples", "nearest"), [(12.3, 12), (-7.6, -8), (0.4, 0)])
def test_without_fractions_a_clip_moves_to_the_nearest_sample(samples: float, nearest: int) -> None:
    y = TimeShift().apply(tone()[None], shift_by(samples))[0]
    assert torch.equal(y, tone().roll(nearest))


def test_to_the_nearest_sample_has_the_gradients_of_there() -> None:
    x, params = tone()[None].requires_grad_(), shift_by(12.3).requires_grad_()
    weight = torch.randn(N, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = TimeShift().apply(x, params)
    assert torch.equal(y[0], tone().roll(12))
    by_x, by_shift = torch.autograd.grad((y * weight).sum(), (x, params))
    torch.testing.assert_close(by_x[0], weight.roll(-12))
    delay = torch.tensor(12.0, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad((tone(delay) * weight).sum(), delay)
    torch.testing.assert_close(by_shift[0, 0], expected * N)


def test_the_gradient_of_a_long_clip_takes_no_more_room_than_the_clip(sounds: ModuleType) -> None:
    x = sounds.noise(1, 400_000).requires_grad_()
    (gradient,) = torch.autograd.grad(TimeShift().apply(x, torch.tensor([[0.1]])).sum(), x)
    assert torch.equal(gradient, torch.ones_like(x))


def test_energy_is_kept(sounds: ModuleType) -> None:
    x = sounds.noise(64, 8000)
    shift = TimeShift()
    y = shift.apply(x, shift.sample(64, torch.Generator().manual_seed(0)))
    torch.testing.assert_close(y.square().sum(1), x.square().sum(1), rtol=2e-3, atol=0)
