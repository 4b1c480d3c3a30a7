"""The loops of the processor and their differentiable twins do the same."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from torch import Tensor

from audioinv.augment import kernels
from audioinv.augment.resample import resample
from audioinv.augment.vocoder import _peaks, vocode

RATIOS = torch.tensor([0.42, 0.8, 1.0, 1.37, 2.38])

CALLS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "vocode": lambda x, rate: vocode(x, rate, x.shape[-1], 256),
    "resample": lambda x, rate: resample(x, rate, 2 * x.shape[-1]),
}


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
