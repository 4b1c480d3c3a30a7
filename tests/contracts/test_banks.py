"""What every bank promises of every augmentation, whatever its clips are made of."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.core.augmentation import Augmentation
from tests.contracts.banks import BANKS, DOUBLE, Bank, Size


@dataclass(frozen=True)
class Case:
    """One augmentation of one bank."""

    bank: Bank
    augmentation: Augmentation

    def clips(self, n: int, seed: int = 0, size: Size = ()) -> Tensor:
        return self.bank.clips(n, size or self.bank.sizes[0], seed)

    def acting(self, n: int) -> Tensor:
        """Drawn parameters, all of which change something."""
        params = self.augmentation.sample(n, seeded())
        return torch.ones_like(params) if self.augmentation.name in self.bank.always else params


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


ALL = {
    f"{kind}-{name}": Case(bank, augmentation)
    for kind, bank in BANKS.items()
    for name, augmentation in bank.build().augmentations.items()
}
every = pytest.mark.parametrize("case", ALL.values(), ids=ALL)
SMOOTH = {
    name: Case(case.bank, case.bank.others.get(case.augmentation.name, case.augmentation))
    for name, case in ALL.items()
    if case.augmentation.parameters[0].differentiable
}
smooth = pytest.mark.parametrize("case", SMOOTH.values(), ids=SMOOTH)


@every
@pytest.mark.parametrize("which", [0, 1])
def test_identity_rows_of_a_mixed_batch_are_unchanged_and_the_others_are_not(
    case: Case, which: int
) -> None:
    x, params = case.clips(5, size=case.bank.sizes[which]), case.acting(5)
    params[[1, 3]] = case.augmentation.identity(2)
    y = case.augmentation.apply(x, params)
    assert y.shape == x.shape and y.dtype == x.dtype
    torch.testing.assert_close(y[[1, 3]], x[[1, 3]], atol=case.bank.kept, rtol=0)
    assert ((y - x).abs().flatten(1).amax(1)[[0, 2, 4]] > case.bank.moved).all()


@every
def test_an_example_does_not_depend_on_its_batch(case: Case) -> None:
    x, params = case.clips(20).double(), case.augmentation.sample(20, seeded())
    apply = case.augmentation.apply
    alone = torch.cat([apply(x[b : b + 1], params[b : b + 1]) for b in range(20)])
    torch.testing.assert_close(apply(x, params), alone, atol=case.bank.alone, rtol=0)


@every
def test_half_the_strength_is_half_way_in_quantities_alone(case: Case) -> None:
    augmentation = case.augmentation
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
def test_apply_is_pure(case: Case) -> None:
    x, params = case.clips(4), case.acting(4)
    before, params_before = x.clone(), params.clone()
    state = torch.get_rng_state()
    first, second = case.augmentation.apply(x, params), case.augmentation.apply(x, params)
    assert torch.equal(first, second)
    assert torch.equal(x, before) and torch.equal(params, params_before)
    assert torch.equal(state, torch.get_rng_state())


@every
@given(seed=st.integers(0, 2**32), n=st.integers(1, 50))
@settings(max_examples=20, deadline=None)
def test_samples_lie_in_range_and_follow_the_generator(case: Case, seed: int, n: int) -> None:
    rows = case.augmentation.sample(n, seeded(seed))
    assert rows.shape == (n, len(case.augmentation.parameters)) and rows.dtype == torch.float32
    for column, parameter in zip(rows.T, case.augmentation.parameters, strict=True):
        assert (column >= parameter.low).all() and (column <= parameter.high).all()
    assert torch.equal(rows, case.augmentation.sample(n, seeded(seed)))


@every
def test_samples_fill_their_range_and_differ_between_seeds(case: Case) -> None:
    rows, parameters = case.augmentation.sample(4000, seeded()), case.augmentation.parameters
    for column, parameter in zip(rows.T, parameters, strict=True):
        width = parameter.high - parameter.low
        room = 0.2 if parameter.name in ("x", "y") else 0.02  # small boxes at the very edge
        assert column.min() <= parameter.low + room * width
        assert column.max() >= parameter.high - room * width
    drawn = any(p.low < p.high for p in parameters)
    assert torch.equal(rows, case.augmentation.sample(4000, seeded(1))) != drawn


@every
@pytest.mark.parametrize("which", range(3))
def test_every_float_type_passes(case: Case, which: int) -> None:
    dtype = (torch.float16, torch.bfloat16, torch.float64)[which]
    x, params = case.clips(3).to(dtype), case.acting(3)
    y = case.augmentation.apply(x, params)
    assert y.dtype == dtype
    error = (y.float() - case.augmentation.apply(x.float(), params)).abs().max()
    assert error < case.bank.errors[which]


@every
def test_the_shortest_clips_pass(case: Case) -> None:
    for size in case.bank.shortest:
        x = case.clips(3, size=size)
        y = case.augmentation.apply(x, case.augmentation.sample(3, seeded()))
        assert y.shape == x.shape and y.isfinite().all()


def test_every_smooth_augmentation_has_its_row() -> None:
    for bank in BANKS.values():
        names = {c.augmentation.name for c in SMOOTH.values() if c.bank is bank}
        assert set(bank.rows) == names >= set(bank.steep)


def slope_of(f: Callable[[float], Tensor], step: float = 1e-7) -> Tensor:
    return (f(step) - f(-step)) / (2 * step)


@smooth
def test_gradients_equal_finite_differences(case: Case) -> None:
    x = case.bank.smooth().requires_grad_()
    row = torch.tensor(case.bank.rows[case.augmentation.name], dtype=DOUBLE)
    params = row.repeat(2, 1).requires_grad_()
    weight, along = (torch.randn(x.shape, generator=seeded(s)).double() for s in (1, 2))

    def weighed(x: Tensor, params: Tensor) -> Tensor:
        return (case.augmentation.apply(x, params) * weight).sum()

    of_x, of_params = torch.autograd.grad(weighed(x, params), (x, params))
    expected = slope_of(lambda step: weighed(x + step * along, params))
    torch.testing.assert_close((of_x * along).sum(), expected, rtol=1e-4, atol=case.bank.slack)
    for column, parameter in enumerate(case.augmentation.parameters):
        if not parameter.differentiable:
            continue
        one = torch.nn.functional.one_hot(torch.tensor(column), len(row))
        found = of_params[:, column].sum()
        expected = slope_of(lambda step, one=one: weighed(x, params + step * one))
        assert found.abs() > 1e-4
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=case.bank.slack)


@smooth
def test_the_identity_has_a_gradient(case: Case) -> None:
    if math.isinf(case.augmentation.parameters[0].identity):
        return
    params, x = case.augmentation.identity(1).requires_grad_(), case.bank.smooth()[:1].float()
    y = case.augmentation.apply(x, params)
    weight = torch.randn(x.shape, generator=seeded(1))
    (gradient,) = torch.autograd.grad((y * weight).sum(), params)
    assert gradient.isfinite().all()
    if case.augmentation.name in case.bank.steep:
        assert gradient.abs().max() > 1e-3


@smooth
def test_hard_clips_have_finite_first_and_second_derivatives(case: Case) -> None:
    x = case.bank.hard().requires_grad_()
    params = case.augmentation.sample(len(x), seeded()).requires_grad_()
    y = case.augmentation.apply(x, params)
    first = torch.autograd.grad(y.square().sum(), (x, params), create_graph=True)
    (second,) = torch.autograd.grad(first[1].square().sum(), x)
    assert y.isfinite().all() and all(g.isfinite().all() for g in (*first, second))


@smooth
def test_the_second_derivative_is_not_nothing(case: Case) -> None:
    x = case.bank.smooth().float().requires_grad_()
    params = case.augmentation.sample(len(x), seeded()).requires_grad_()
    loss = case.augmentation.apply(x, params).square().mean()
    (first,) = torch.autograd.grad(loss, params, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), x)
    assert second.isfinite().all() and second.abs().max() > 0


NONSENSE = [(kind, *given) for kind, bank in BANKS.items() for given in bank.nonsense]


@pytest.mark.parametrize(("kind", "name", "options"), NONSENSE)
def test_a_range_that_makes_no_sense_is_named(
    kind: str, name: str, options: dict[str, float]
) -> None:
    with pytest.raises(UserError, match=f"{name}.* ranges from .* between|{name} ranges from"):
        BANKS[kind].build(ranges={name: options})
