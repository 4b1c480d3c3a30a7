from __future__ import annotations

from types import ModuleType

import torch

from audioinv.audio.augment import TimeMask

N = 8000


def test_zeros_fill_the_region_and_nothing_else(sounds: ModuleType) -> None:
    x = sounds.noise(2, N)
    params = torch.tensor([[0.25, 0.1, 0.0, 0.0], [0.0, 0.125, 0.0, 0.0]])
    y = TimeMask().apply(x, params)
    assert (y[0, 2008:2792] == 0).all() and (y[1, 8:992] == 0).all()
    assert torch.equal(y[0, :1991], x[0, :1991]) and torch.equal(y[0, 2809:], x[0, 2809:])
    assert torch.equal(y[1, 1009:], x[1, 1009:])


def test_the_length_is_exact_to_a_fraction_of_a_sample() -> None:
    params = torch.tensor([[0.3, 800.4 / N, 0.0, 0.0], [0.3001, 3.0 / N, 0.0, 0.0]])
    y = TimeMask().apply(torch.ones(2, N), params)
    torch.testing.assert_close((1 - y).sum(1), torch.tensor([800.4, 3.0]), atol=0.05, rtol=0)


def test_noise_has_the_level_of_the_clip_and_comes_from_its_offset(sounds: ModuleType) -> None:
    x = 0.1 * sounds.noise(3, N)
    params = torch.tensor([[0.25, 0.125, 1.0, 0.0], [0.25, 0.125, 1.0, 9.0], [0.25, 0.125, 0, 0.0]])
    y = TimeMask().apply(x[:1].expand(3, -1), params)
    inside, outside = y[:, 2010:2990], y[:, 3010:]
    assert 0.08 < inside[0].std() < 0.12
    assert not torch.equal(inside[0], inside[1])
    assert not torch.allclose(inside[0], x[0, 2010:2990])
    assert inside[2].abs().max() == 0
    assert torch.equal(outside[0], outside[2])


def test_drawn_masks_lie_in_the_clip_with_either_fill() -> None:
    rows = TimeMask().sample(2000, torch.Generator().manual_seed(0))
    assert (rows[:, 0] + rows[:, 1] <= 1).all()
    assert 800 < (rows[:, 2] == 1).sum() < 1200
    assert ((rows[:, 2] == 0) | (rows[:, 2] == 1)).all()
