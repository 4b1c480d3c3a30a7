"""What the bank promises of every augmentation."""

from __future__ import annotations

import math
from types import ModuleType

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from audioinv.audio.augment import TimeShift, build_bank
from audioinv.base.errors import UserError
from audioinv.core.augmentation import Augmentation

RATE = 8000
BANK = build_bank(RATE).augmentations
every = pytest.mark.parametrize("augmentation", BANK.values(), ids=BANK.keys())
SMOOTH = {**BANK, "time_shift": TimeShift(fractional=True)}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@every
@pytest.mark.parametrize("n", [2000, 3001])
def test_identity_rows_of_a_mixed_batch_are_unchanged_and_the_others_are_not(
    augmentation: Augmentation, n: int, sounds: ModuleType
) -> None:
    x = sounds.noise(5, n)
    params = augmentation.sample(5, seeded())
    params[[1, 3]] = augmentation.identity(2)
    y = augmentation.apply(x, params)
    assert y.shape == x.shape and y.dtype == x.dtype
    torch.testing.assert_close(y[[1, 3]], x[[1, 3]], atol=1e-6, rtol=0)
    assert ((y - x).abs().amax(1)[[0, 2, 4]] > 1e-3).all()


@every
def test_an_example_does_not_depend_on_its_batch(
    augmentation: Augmentation, sounds: ModuleType
) -> None:
    x = sounds.noise(20, 4000, dtype=torch.float64)
    params = augmentation.sample(20, seeded())
    together = augmentation.apply(x, params)
    alone = torch.cat([augmentation.apply(x[b : b + 1], params[b : b + 1]) for b in range(20)])
    torch.testing.assert_close(together, alone, atol=1e-9, rtol=0)


@every
def test_half_the_strength_is_half_way_in_quantities_alone(augmentation: Augmentation) -> None:
    drawn, halved = (
        augmentation.at_strength(augmentation.sample(6, seeded()), s) for s in (1.0, 0.5)
    )
    for k, parameter in enumerate(augmentation.parameters):
        expected = drawn[:, k]
        if parameter.quantity:
            expected = (expected + parameter.identity) / 2
            if math.isinf(parameter.identity):
                expected = drawn[:, k] + 6.0206
        torch.testing.assert_close(halved[:, k], expected)


@every
def test_apply_is_pure(augmentation: Augmentation, sounds: ModuleType) -> None:
    x, params = sounds.noise(4, 2000), augmentation.sample(4, seeded())
    before, params_before = x.clone(), params.clone()
    state = torch.get_rng_state()
    first, second = augmentation.apply(x, params), augmentation.apply(x, params)
    assert torch.equal(first, second)
    assert torch.equal(x, before) and torch.equal(params, params_before)
    assert torch.equal(state, torch.get_rng_state())


@every
@given(seed=st.integers(0, 2**32), n=st.integers(1, 50))
@settings(max_examples=20, deadline=None)
def test_samples_lie_in_range_and_follow_the_generator(
    augmentation: Augmentation, seed: int, n: int
) -> None:
    rows = augmentation.sample(n, seeded(seed))
    assert rows.shape == (n, len(augmentation.parameters))
    for column, parameter in zip(rows.T, augmentation.parameters, strict=True):
        assert (column >= parameter.low).all() and (column <= parameter.high).all()
    assert torch.equal(rows, augmentation.sample(n, seeded(seed)))
    assert not torch.equal(rows, augmentation.sample(n, seeded(seed + 1)))


@every
def test_samples_fill_their_range(augmentation: Augmentation) -> None:
    rows = augmentation.sample(4000, seeded())
    for column, parameter in zip(rows.T, augmentation.parameters, strict=True):
        width = parameter.high - parameter.low
        assert column.min() <= parameter.low + 0.02 * width
        assert column.max() >= parameter.high - 0.02 * width


# one row inside every range, away from kinks (whole frames, whole fades)
PARAMETERS = {
    "pitch_shift": [4.3],
    "time_stretch": [0.83],
    "time_shift": [0.1235],
    "fade": [0.3103, 0.2201, 2.0],
    "time_mask": [0.3, 0.1, 1.0, 5.0],
    "white_noise": [12.0, 7.0],
    "coloured_noise": [12.0, 0.7, 7.0],
}


def smooth_loss(augmentation: Augmentation, x: Tensor, params: Tensor, weight: Tensor) -> Tensor:
    return (augmentation.apply(x, params) * weight).sum()


@pytest.mark.parametrize("augmentation", SMOOTH.values(), ids=SMOOTH.keys())
@pytest.mark.parametrize("argument", ["x", "params"])
def test_gradients_equal_finite_differences(
    augmentation: Augmentation, argument: str, sounds: ModuleType
) -> None:
    double = torch.float64
    clip = sounds.harmonic(217.0, RATE, 2500, double) + 0.05 * sounds.noise(2500, dtype=double)
    x = clip.expand(2, -1).clone().requires_grad_()
    row = torch.tensor(PARAMETERS[augmentation.name], dtype=double)
    params = torch.stack([row, row]).requires_grad_()
    weight = sounds.noise(2, 2500, seed=1, dtype=double)
    step = 1e-7
    x_grad, params_grad = torch.autograd.grad(
        smooth_loss(augmentation, x, params, weight), (x, params)
    )
    if argument == "x":
        along = sounds.noise(2, 2500, seed=2, dtype=double)
        high = smooth_loss(augmentation, x + step * along, params, weight)
        low = smooth_loss(augmentation, x - step * along, params, weight)
        torch.testing.assert_close(
            (x_grad * along).sum(), (high - low) / (2 * step), rtol=1e-4, atol=1e-5
        )
        return
    for column, parameter in enumerate(augmentation.parameters):
        if not parameter.differentiable:
            continue
        along = torch.zeros_like(params)
        along[:, column] = step
        high = smooth_loss(augmentation, x, params + along, weight)
        low = smooth_loss(augmentation, x, params - along, weight)
        found = params_grad[:, column].sum()
        assert found.abs() > 1e-3
        torch.testing.assert_close(found, (high - low) / (2 * step), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["pitch_shift", "time_stretch", "time_shift", "time_mask"])
def test_the_identity_has_a_gradient(name: str, sounds: ModuleType) -> None:
    params = BANK[name].identity(1).requires_grad_()
    y = BANK[name].apply(sounds.harmonic(217.0, RATE, 2000)[None], params)
    (gradient,) = torch.autograd.grad((y * sounds.noise(1, 2000)).sum(), params)
    assert gradient.abs().max() > 1e-2


@every
def test_silence_and_quiet_clips_stay_finite_with_finite_gradients(
    augmentation: Augmentation, sounds: ModuleType
) -> None:
    x = torch.zeros(3, 3000)
    x[1] = 1e-6 * sounds.noise(3000)
    x[2, 1000:2000] = sounds.noise(1000)  # digital silence around it
    x.requires_grad_()
    params = augmentation.sample(3, seeded()).requires_grad_()
    y = augmentation.apply(x, params)
    assert y.isfinite().all()
    for gradient in torch.autograd.grad(y.square().sum(), (x, params)):
        assert gradient.isfinite().all()


@every
def test_second_derivatives_are_finite(augmentation: Augmentation, sounds: ModuleType) -> None:
    x = sounds.harmonic(217.0, RATE, 2000).expand(2, -1).clone().requires_grad_()
    params = augmentation.sample(2, seeded()).requires_grad_()
    loss = augmentation.apply(x, params).square().mean()
    (gradient,) = torch.autograd.grad(loss, params, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), x)
    assert second.isfinite().all() and second.abs().max() > 0


@every
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_float_type_passes(
    augmentation: Augmentation, dtype: torch.dtype, sounds: ModuleType
) -> None:
    x, params = sounds.noise(3, 2000), augmentation.sample(3, seeded())
    y = augmentation.apply(x.to(dtype), params)
    assert y.dtype == dtype
    error = (y.float() - augmentation.apply(x.to(dtype).float(), params)).abs().max()
    assert error < (0.05 if dtype == torch.bfloat16 else 0.01)


@every
@pytest.mark.parametrize("n", [1, 2, 100, 997])
def test_very_short_clips_pass(augmentation: Augmentation, n: int, sounds: ModuleType) -> None:
    y = augmentation.apply(sounds.noise(3, n), augmentation.sample(3, seeded()))
    assert y.shape == (3, n) and y.isfinite().all()


def test_what_inference_mode_cached_still_serves_training(sounds: ModuleType) -> None:
    n = 1237  # a length of its own, so that nothing is cached yet
    x = sounds.noise(2, n)
    bank = build_bank(2 * RATE).augmentations
    with torch.inference_mode():
        for augmentation in bank.values():
            augmentation.apply(x, augmentation.sample(2, seeded()))
    for augmentation in bank.values():
        params = augmentation.sample(2, seeded()).requires_grad_()
        augmentation.apply(x.clone().requires_grad_(), params).sum().backward()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("pitch_shift", {"min_semitones": 3, "max_semitones": -3}),
        ("pitch_shift", {"max_semitones": float("nan")}),
        ("time_stretch", {"min_rate": 0.0}),
        ("time_shift", {"max_shift": 1.5}),
        ("fade", {"max_fraction": -0.1}),
        ("time_mask", {"max_fraction": 2.0}),
        ("white_noise", {"min_snr_db": 31.0}),
        ("coloured_noise", {"max_decay": float("inf")}),
    ],
)
def test_a_range_that_makes_no_sense_is_named(name: str, options: dict[str, float]) -> None:
    with pytest.raises(UserError, match=f"{name}.*ranges from .* between"):
        build_bank(RATE, ranges={name: options})


@pytest.mark.parametrize("name", ["pitch_shift", "time_stretch"])
def test_a_sample_rate_that_makes_no_sense_is_named(name: str) -> None:
    with pytest.raises(UserError, match=r"sample_rate.*0"):
        build_bank(0, names=[name])
