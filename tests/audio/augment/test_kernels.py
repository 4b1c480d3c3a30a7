"""The loops of the processor and their differentiable twins do the same."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from torch import Tensor

from audioinv.audio.augment import build_bank, kernels
from audioinv.audio.augment.coloured_noise import ColouredNoise
from audioinv.audio.augment.fade import Fade
from audioinv.audio.augment.fused import FusedBank
from audioinv.audio.augment.resample import resample
from audioinv.audio.augment.time_mask import TimeMask
from audioinv.audio.augment.vocoder import _peaks, vocode
from audioinv.audio.augment.white_noise import WhiteNoise
from audioinv.audio.frontend import LogMel

RATIOS = torch.tensor([0.42, 0.8, 1.0, 1.37, 2.38])

CALLS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "vocode": lambda x, rate: vocode(x, rate, x.shape[-1], 256),
    "resample": lambda x, rate: resample(x, rate, 2 * x.shape[-1]),
    "white noise": lambda x, rate: WhiteNoise().apply(x, torch.stack([10 * rate, 1e3 * rate], 1)),
    "coloured noise": lambda x, rate: ColouredNoise().apply(
        x, torch.stack([10 * rate, rate - 1, 1e3 * rate], 1)
    ),
    "mask with noise": lambda x, rate: TimeMask().apply(x, mask_rows(rate, 1.0)),
    "mask with zeros": lambda x, rate: TimeMask().apply(x, mask_rows(rate, 0.0)),
    "mask as a factor": lambda x, rate: x * TimeMask().factor(mask_rows(rate, 1.0), x.shape[-1]),
    "fade": lambda x, rate: Fade().apply(x, torch.stack([rate / 2.5, 1 - rate / 2.5, SHAPE], 1)),
}
SHAPE = torch.tensor([0.0, 1.0, 2.0, 1.0, 2.0])


def mask_rows(rate: Tensor, fill: float) -> Tensor:
    """Masks of 0 (the last) to 0.9 of the clip, at its very ends too."""
    length = 0.5 * (2.38 - rate).clamp_min(0)
    start = torch.where(rate > 2, 1.0, rate - 0.42).clamp_max(1 - length)
    return torch.stack([start, length, torch.full_like(rate, fill), (1e3 * rate).floor()], 1)


@pytest.fixture
def without_kernels(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A function that turns the kernels off."""
    return lambda: monkeypatch.setattr(kernels, "applies", lambda *tensors: False)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_kernels_equal_tensor_operations(
    name: str,
    dtype: torch.dtype,
    tolerance: float,
    without_kernels: Callable[[], None],
    sounds: ModuleType,
) -> None:
    x = torch.stack([sounds.harmonic(97.0 * k, 8000, 3001, dtype) for k in range(1, 6)])
    x[1, 1000:2000] = 0  # digital silence within a clip
    x[2] = 0
    rates = RATIOS.to(dtype)
    fast = CALLS[name](x, rates)
    without_kernels()
    torch.testing.assert_close(fast, CALLS[name](x, rates), atol=tolerance, rtol=0)


@pytest.mark.parametrize("n", [8000, 7003])
def test_so_do_those_of_the_fused_route(
    n: int, without_kernels: Callable[[], None], sounds: ModuleType
) -> None:
    """Frames cut, changed and their power; to 0.001 dB."""
    front = LogMel(8000, n / 8000, n_fft=512, hop=128, n_bins=40, floor_db=-80.0)
    bank = FusedBank(build_bank(8000), front)
    x = torch.stack([sounds.harmonic(97.0 * k, 8000, n) for k in range(1, 6)]) + 0.01
    params = bank.sample(5, bank.space.all_on(), torch.Generator().manual_seed(1))
    fast = bank.apply(x, params)
    without_kernels()
    torch.testing.assert_close(fast, bank.apply(x, params), atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("argument", [0, 1])
def test_whoever_wants_a_gradient_gets_one(name: str, argument: int, sounds: ModuleType) -> None:
    arguments = [sounds.noise(5, 1000), RATIOS.clone()]
    plain = CALLS[name](*arguments)
    arguments[argument].requires_grad_()
    tracked = CALLS[name](*arguments)
    (gradient,) = torch.autograd.grad(tracked.square().sum(), arguments[argument])
    assert gradient.abs().max() > 0
    torch.testing.assert_close(plain, tracked.detach(), atol=1e-4, rtol=0)
    with torch.no_grad():
        assert not CALLS[name](*arguments).requires_grad


def test_the_strongest_bin_within_reach_is_found() -> None:
    level = torch.rand(3, 2, 40, generator=torch.Generator().manual_seed(0))
    found = _peaks(level)
    for k in range(40):
        low = max(k - 2, 0)
        assert torch.equal(found[..., k], low + level[..., low : k + 3].argmax(-1))
