"""The gradient penalty: against loops, a closed form, finite differences."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator, seeded
from audioinv.core.augmentation import Augmentation, Parameter
from audioinv.core.auxiliary import ParameterPredictor
from audioinv.core.bank import AugmentationBank
from audioinv.core.contrast import SimCLR
from audioinv.core.descriptor import DescriptorSpace
from audioinv.core.penalty import (
    GradientPenalty,
    PenaltyDraws,
    gradient_penalty,
    twice_differentiable,
)
from audioinv.core.projector import Projector
from tests.core.warped import WIDTH, Warp, make_bank, tracked


def batch(n: int = 5, seed: int = 0) -> Tensor:
    return torch.randn(n, WIDTH, generator=generator(seed, "x"), dtype=torch.float64)


def small_network(norm: bool = False) -> nn.Sequential:
    with seeded(0, "network"):
        layers = [nn.Linear(WIDTH, 7), nn.BatchNorm1d(7) if norm else nn.Identity(), nn.Tanh()]
        return nn.Sequential(*layers, nn.Linear(7, 4)).double().train()


def test_the_value_is_that_of_a_loop_over_examples_and_draws() -> None:
    bank, network, x = make_bank(), small_network(), batch()
    descriptor = torch.ones(2)
    view, params, draws = tracked(bank, x, descriptor, GradientPenalty(bank, 4, 0.1, 3))
    value = gradient_penalty(network(view), params, draws)
    total = 0.0
    for b in range(len(x)):
        alpha = {name: rows[b : b + 1].detach() for name, rows in params.items()}

        def projected(warp: Tensor, other: Tensor, b: int = b) -> Tensor:
            z = network(bank.apply(x[b : b + 1], {"warp": warp, "other": other}))[0]
            return (draws.signs[b].double() * z / z.square().sum().sqrt()).sum()

        g = torch.autograd.functional.jacobian(projected, (alpha["warp"], alpha["other"]))
        for n in range(3):
            moved = sum(
                float(g[a][0, p]) * float(draws.moves[name][b, n, p])
                for a, name in enumerate(("warp", "other"))
                for p in range(3)
            )
            total += moved**2
    assert value.item() == pytest.approx(total / (5 * 3), rel=1e-9)
    assert total > 1e-3


def test_the_value_for_a_linear_encoder_in_closed_form() -> None:
    """z = W (x + a u): grad_a of e . z / |z| is e . (I - h h^T) W u / |z|."""

    class Shift(Augmentation):
        name = "shift"
        parameters = (Parameter("a", "", -1.0, 1.0, 0.0),)

        def apply(self, x: Tensor, params: Tensor) -> Tensor:
            return x + params.to(x) * torch.arange(WIDTH).to(x)

    bank = AugmentationBank([Shift()], DescriptorSpace.single(["shift"]))
    x, w = batch(), torch.randn(4, WIDTH, generator=generator(0, "w")).double()
    view, params, draws = tracked(bank, x, torch.ones(1), GradientPenalty(bank, 4, 0.1, 50))
    z = view.detach() @ w.T
    h = z / z.norm(dim=1, keepdim=True)
    direction = w @ torch.arange(WIDTH).double()
    e = draws.signs.double()
    g = (e @ direction - (e * h).sum(1) * (h @ direction)) / z.norm(dim=1)
    expected = (g[:, None] * draws.moves["shift"][..., 0]).square().mean()
    found = gradient_penalty(view @ w.T, params, draws)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    longer = gradient_penalty(3 * view @ w.T, params, draws)
    torch.testing.assert_close(longer, expected, rtol=1e-6, atol=0)  # the length does not count


@pytest.mark.parametrize("norm", [False, True], ids=["plain", "batch norm"])
def test_gradients_are_those_of_finite_differences(norm: bool) -> None:
    """Second order, through BatchNorm in training mode."""
    bank, network, x = make_bank(), small_network(norm), batch()
    view, params, draws = tracked(bank, x, torch.ones(2), GradientPenalty(bank, 4, 0.1, 10))
    weights = list(network.parameters())
    value = gradient_penalty(network(view), params, draws)
    found = torch.autograd.grad(value, weights, retain_graph=True, materialize_grads=True)
    for weight, gradient in zip(weights, found, strict=True):
        direction = torch.randn(weight.shape, generator=generator(1, "d")).double()
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                weight.add_(sign * 1e-5 * direction)
            values.append(gradient_penalty(network(view), params, draws).item())
            with torch.no_grad():
                weight.sub_(sign * 1e-5 * direction)
        expected = (values[0] - values[1]) / 2e-5
        assert (gradient * direction).sum().item() == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert max(float(g.abs().max()) for g in found) > 1e-3


def test_inactive_augmentations_have_no_freedom_and_are_not_followed() -> None:
    bank = make_bank()
    sampler = GradientPenalty(bank, 4, 0.1, 5)
    descriptor = torch.tensor([0.0, 1.0])
    assert sampler.active(descriptor) == ["other"]
    _, params, draws = tracked(bank, batch(), descriptor, sampler)
    assert list(draws.moves) == ["other"]
    assert params["other"].requires_grad and not params["warp"].requires_grad
    each = torch.tensor([[0.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    _, _, draws = tracked(bank, batch(3), each, sampler)
    moved = {name: rows.flatten(1).any(1).tolist() for name, rows in draws.moves.items()}
    assert moved == {"warp": [False, True, True], "other": [True, True, False]}


def test_a_corner_without_penalised_augmentations_costs_nothing() -> None:
    bank = make_bank()
    sampler = GradientPenalty(bank, 4, 0.1, 5, ["warp"])
    descriptor = torch.tensor([0.0, 1.0])
    with torch.no_grad():
        (view, _), (params, _) = bank.views(
            batch(), descriptor, generator(0, "v"), tracked=sampler.active(descriptor)
        )
    draws = sampler.draw(params, descriptor, generator(0, "p"))
    assert draws is not None and not view.requires_grad
    assert gradient_penalty(small_network()(view), params, draws).item() == 0


def test_an_example_left_alone_and_a_mode_stay_as_they_are() -> None:
    bank = make_bank(probability=0.5)
    x, descriptor = batch(400), torch.ones(2)
    _, params, draws = tracked(bank, x, descriptor, GradientPenalty(bank, 4, 0.1, 20))
    for name, augmentation in bank.augmentations.items():
        acts, moves = augmentation.acts(params[name]), draws.moves[name]
        assert 150 < int(acts.sum()) < 250
        assert bool(moves.isfinite().all()) and not bool(moves[~acts].any())
        assert not bool(moves[..., 2].any())
        fresh = (params[name][:, None] + moves)[acts].detach()
        for column, (low, high) in enumerate([(0.5, 1.5), (-1.0, 1.0)]):
            drawn = fresh[..., column].flatten()
            assert low - 1e-5 <= float(drawn.min()) < low + 0.01 < high - 0.01 < float(drawn.max())
            assert float(drawn.mean()) == pytest.approx((low + high) / 2, abs=0.03)
            assert len(drawn.unique()) > 0.9 * len(drawn)
    assert draws.signs.unique().tolist() == [-1, 1] and abs(float(draws.signs.mean())) < 0.1


def test_only_augmentations_of_first_order_are_taken_unasked() -> None:
    space = DescriptorSpace.single(["warp", "ripple"])
    ripple = Warp("ripple")
    ripple.first_order = False
    bank = AugmentationBank([Warp(), ripple], space)
    assert GradientPenalty(bank, 4, 0.1).names == ["warp"]
    assert GradientPenalty(bank, 4, 0.1, names=["ripple", "warp"]).names == ["warp", "ripple"]
    assert GradientPenalty(bank, 4, 0.0).names == []


def test_a_draw_counts_as_much_as_it_is_told_at_most() -> None:
    bank, network = make_bank(), small_network()
    view, params, draws = tracked(bank, batch(), torch.ones(2), GradientPenalty(bank, 4, 0.1, 50))
    z, whole = network(view), []
    for b in range(5):
        for n in range(50):
            one = PenaltyDraws(
                draws.signs[b : b + 1], {k: v[b : b + 1, n : n + 1] for k, v in draws.moves.items()}
            )
            alone = {name: rows[b : b + 1] for name, rows in params.items()}
            view_b = bank.apply(batch()[b : b + 1], alone)
            whole.append(gradient_penalty(network(view_b), alone, one).item())
    longest = sorted(whole)[125]
    expected = sum(min(value, longest) for value in whole) / len(whole)
    assert gradient_penalty(z, params, draws, longest).item() == pytest.approx(expected, rel=1e-9)


def test_draws_are_keyed() -> None:
    bank = make_bank()
    one, again, other = (
        tracked(bank, batch(), torch.ones(2), GradientPenalty(bank, 4, 0.1, 5), seed)[2]
        for seed in (0, 0, 1)
    )
    assert torch.equal(one.signs, again.signs) and not torch.equal(one.signs, other.signs)
    assert torch.equal(one.moves["warp"], again.moves["warp"])
    assert not torch.equal(one.moves["warp"], other.moves["warp"])


def test_backward_stays_away_from_second_derivatives_of_the_augmentation() -> None:
    class Once(torch.autograd.Function):
        """a -> x^a's stand-in: its backward may be differentiated in the incoming gradient only."""

        @staticmethod
        def forward(ctx: Any, a: Tensor) -> Tensor:
            ctx.save_for_backward(a)
            return a.square()

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> Tensor:
            (a,) = ctx.saved_tensors
            return gradient * 2 * Refuse.apply(a)

    class Refuse(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, a: Tensor) -> Tensor:
            return a.clone()

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> Tensor:
            raise AssertionError("a second derivative was taken")

    alpha = torch.full((5, 1), 0.7, dtype=torch.float64, requires_grad=True)
    network = small_network()
    draws = PenaltyDraws(torch.ones(5, 4), {"a": torch.ones(5, 2, 1)})
    value = gradient_penalty(network(batch() + Once.apply(alpha)), {"a": alpha}, draws)
    value.backward(inputs=list(network.parameters()))
    assert alpha.grad is None and network[0].weight.grad.abs().max() > 0
    with pytest.raises(AssertionError, match="second derivative"):
        gradient_penalty(network(batch() + Once.apply(alpha)), {"a": alpha}, draws).backward()


def test_the_clamp_is_of_the_mean_and_stops_the_gradient() -> None:
    value, predict = torch.tensor(3.0, requires_grad=True), torch.tensor(2.0)
    losses = {"contrast": torch.tensor(7.0), "predict": predict, "penalty": value}
    total = simclr(clamp=1000.0).total(losses)
    assert total.item() == pytest.approx(7 + 0.5 * 2 + 0.1 * 3)
    (gradient,) = torch.autograd.grad(total, value)
    assert gradient.item() == pytest.approx(0.1)
    clamped = simclr(clamp=1.0).total(losses)
    assert clamped.item() == pytest.approx(7 + 0.5 * 2 + 0.1)
    assert torch.autograd.grad(clamped, value)[0].item() == 0
    assert simclr(clamp=1.0).total({"contrast": torch.tensor(7.0)}) == 7


def simclr(clamp: float) -> SimCLR:
    bank = make_bank()
    penalty = GradientPenalty(bank, 4, 0.1, clamp=clamp)
    none, nothing = Projector(bank.space, 4, kind="none"), ParameterPredictor(bank, 4)
    return SimCLR(nn.Identity(), none, nothing, 0.5, penalty, 0.5)  # type: ignore[arg-type]


def test_attention_has_a_second_derivative() -> None:
    q = torch.randn(2, 1, 4, 8, generator=generator(0, "q"), requires_grad=True)
    with twice_differentiable():
        (g,) = torch.autograd.grad(
            F.scaled_dot_product_attention(q, q, q).sum(), q, create_graph=True
        )
    g.square().sum().backward()
    assert q.grad is not None and bool(q.grad.isfinite().all())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": -1.0}, r"pretrain\.penalty.*-1\.0.*0 \(off\)"),
        ({"weight": math.nan}, r"pretrain\.penalty is nan"),
        ({"draws": 0}, r"pretrain\.penalty_draws.*0.*1 or more"),
        ({"names": ["warp", "wrap"]}, r"penalty_on.*\['warp', 'wrap'\].*warp, other"),
        ({"names": []}, r"penalty_on is \[\]"),
    ],
)
def test_settings_that_cannot_work_are_explained(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        GradientPenalty(make_bank(), 4, **{"weight": 0.1, **options})


def test_a_gradient_that_would_be_lost_is_refused() -> None:
    space = DescriptorSpace.single(["warp", "last"])
    bank = AugmentationBank([Warp(), Warp("last", opaque=True)], space)
    with pytest.raises(UserError, match=r"last.*warp.*pretrain\.penalty=0"):
        GradientPenalty(bank, 4, 0.1)
    GradientPenalty(bank, 4, 0.0)
    bank = make_bank()
    _, params, draws = tracked(bank, batch(), torch.ones(2), GradientPenalty(bank, 4, 1.0))
    with pytest.raises(UserError, match=r"warp, other.*pretrain\.penalty=0.*precision=32-true"):
        gradient_penalty(torch.ones(5, 4, requires_grad=True).double(), params, draws)
