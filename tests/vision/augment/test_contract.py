"""What the bank promises of every augmentation of images."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.core.augmentation import Augmentation
from vision.augment import build_bank

Pictures = Callable[..., Tensor]
BANK = build_bank().augmentations
every = pytest.mark.parametrize("augmentation", BANK.values(), ids=BANK.keys())
SMOOTH = [name for name, a in BANK.items() if a.parameters[0].differentiable]
smooth = pytest.mark.parametrize("augmentation", [BANK[n] for n in SMOOTH], ids=SMOOTH)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def acting(augmentation: Augmentation, n: int) -> Tensor:
    """Drawn parameters, a flip among them in every row."""
    params = augmentation.sample(n, seeded())
    return torch.ones_like(params) if augmentation.name == "horizontal_flip" else params


@every
@pytest.mark.parametrize("size", [(32, 32), (21, 34)])
def test_identity_rows_of_a_mixed_batch_are_exactly_unchanged_and_the_others_are_not(
    augmentation: Augmentation, size: tuple[int, int], pictures: Pictures
) -> None:
    x = pictures(5, *size)
    params = acting(augmentation, 5)
    params[[1, 3]] = augmentation.identity(2)
    y = augmentation.apply(x, params)
    assert y.shape == x.shape and y.dtype == x.dtype
    assert torch.equal(y[[1, 3]], x[[1, 3]])
    assert ((y - x).abs().amax((1, 2, 3))[[0, 2, 4]] > 1e-4).all()


@every
def test_black_white_and_grey_images_are_unchanged_by_the_identity(
    augmentation: Augmentation,
) -> None:
    x = torch.tensor([0.0, 1.0, 0.3]).view(3, 1, 1, 1).expand(3, 3, 8, 8)
    assert torch.equal(augmentation.apply(x, augmentation.identity(3)), x)


@every
def test_an_example_does_not_depend_on_its_batch(
    augmentation: Augmentation, pictures: Pictures
) -> None:
    x = pictures(12, 20, 24, dtype=torch.float64)
    params = augmentation.sample(12, seeded())
    together = augmentation.apply(x, params)
    alone = torch.cat([augmentation.apply(x[b : b + 1], params[b : b + 1]) for b in range(12)])
    torch.testing.assert_close(together, alone, atol=1e-12, rtol=0)


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
def test_apply_is_pure(augmentation: Augmentation, pictures: Pictures) -> None:
    x, params = pictures(4, 16, 16), acting(augmentation, 4)
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
    assert rows.shape == (n, len(augmentation.parameters)) and rows.dtype == torch.float32
    for column, parameter in zip(rows.T, augmentation.parameters, strict=True):
        assert (column >= parameter.low).all() and (column <= parameter.high).all()
    assert torch.equal(rows, augmentation.sample(n, seeded(seed)))


@every
def test_samples_fill_their_range_and_differ_between_seeds(augmentation: Augmentation) -> None:
    rows = augmentation.sample(4000, seeded())
    for column, parameter in zip(rows.T, augmentation.parameters, strict=True):
        width = parameter.high - parameter.low
        room = 0.2 if parameter.name in ("x", "y") else 0.02  # small boxes at the very edge
        assert column.min() <= parameter.low + room * width
        assert column.max() >= parameter.high - room * width
    drawn = any(p.low < p.high for p in augmentation.parameters)
    assert torch.equal(rows, augmentation.sample(4000, seeded(1))) != drawn


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


@every
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_float_type_passes(
    augmentation: Augmentation, dtype: torch.dtype, pictures: Pictures
) -> None:
    x, params = pictures(3, 16, 16).to(dtype), acting(augmentation, 3)
    y = augmentation.apply(x, params)
    assert y.dtype == dtype
    error = (y.float() - augmentation.apply(x.float(), params)).abs().max()
    assert error < {torch.float16: 1e-3, torch.bfloat16: 5e-3, torch.float64: 1e-4}[dtype]


# one row inside every range, away from kinks
PARAMETERS = {
    "crop": [0.4, 0.11, 0.47, 0.56],
    "rotation": [13.7],
    "colour_jitter": [1.13, 0.84, 1.07, 0.063],
    "hue": [0.137],
    "grayscale": [0.43],
    "blur": [1.3],
}


def test_every_smooth_augmentation_has_its_row() -> None:
    assert set(PARAMETERS) == set(SMOOTH)


def weighed(augmentation: Augmentation, x: Tensor, params: Tensor, weight: Tensor) -> Tensor:
    return (augmentation.apply(x, params) * weight).sum()


@smooth
@pytest.mark.parametrize("argument", ["x", "params"])
def test_gradients_equal_finite_differences(
    augmentation: Augmentation, argument: str, pictures: Pictures
) -> None:
    x = 0.3 + 0.3 * pictures(2, 14, 17, dtype=torch.float64)
    x = (x + 0.01 * pictures(2, 14, 17, seed=3)).requires_grad_()  # no two channels are equal
    row = torch.tensor(PARAMETERS[augmentation.name], dtype=torch.float64)
    params = torch.stack([row, row]).requires_grad_()
    weight = pictures(2, 14, 17, seed=1, dtype=torch.float64) - 0.5
    gradients = torch.autograd.grad(weighed(augmentation, x, params, weight), (x, params))
    step = 1e-7

    def slope(along_x: Tensor | float, along_params: Tensor | float) -> Tensor:
        ends = [
            weighed(augmentation, x + s * along_x, params + s * along_params, weight)
            for s in (step, -step)
        ]
        return (ends[0] - ends[1]) / (2 * step)

    if argument == "x":
        along = pictures(2, 14, 17, seed=2, dtype=torch.float64) - 0.5
        torch.testing.assert_close((gradients[0] * along).sum(), slope(along, 0), rtol=1e-4, atol=0)
        return
    for column in range(len(row)):
        along = torch.zeros_like(params)
        along[:, column] = 1
        found = gradients[1][:, column].sum()
        assert found.abs() > 1e-4
        torch.testing.assert_close(found, slope(0, along), rtol=1e-4, atol=1e-7)


@smooth
def test_the_identity_has_a_gradient(augmentation: Augmentation, pictures: Pictures) -> None:
    params = augmentation.identity(1).requires_grad_()
    y = augmentation.apply(pictures(1, 16, 16), params)
    (gradient,) = torch.autograd.grad((y * pictures(1, 16, 16, seed=1)).sum(), params)
    flat = augmentation.name == "blur"  # a Gaussian of width 0 is flat in its width
    assert gradient.isfinite().all() and (gradient.abs() > 1e-3).all() != flat


@smooth
def test_extreme_images_have_finite_first_and_second_derivatives(
    augmentation: Augmentation, pictures: Pictures
) -> None:
    x = pictures(4, 12, 12)
    x[0], x[1], x[2] = 0.0, 1.0, 0.4
    x.requires_grad_()
    params = augmentation.sample(4, seeded()).requires_grad_()
    loss = augmentation.apply(x, params).square().sum()
    first = torch.autograd.grad(loss, (x, params), create_graph=True)
    (second,) = torch.autograd.grad(first[1].square().sum(), x)
    assert all(g.isfinite().all() for g in (*first, second)) and second.abs().max() > 0


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("crop", {"min_scale": 0.0}),
        ("crop", {"min_scale": 0.9, "max_scale": 0.5}),
        ("crop", {"max_ratio": 0.75}),
        ("rotation", {"max_degrees": float("nan")}),
        ("colour_jitter", {"contrast": 1.5}),
        ("colour_jitter", {"hue": 0.6}),
        ("hue", {"min_turns": -0.7}),
        ("grayscale", {"max_amount": 2.0}),
        ("blur", {"min_sigma": 3.0}),
        ("solarise", {"max_threshold": 128.0}),
        ("cutout", {"min_size": -0.1}),
    ],
)
def test_a_range_that_makes_no_sense_is_named(name: str, options: dict[str, float]) -> None:
    with pytest.raises(UserError, match=f"{name}.* ranges from .* between"):
        build_bank(ranges={name: options})
