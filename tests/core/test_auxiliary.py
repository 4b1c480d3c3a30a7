"""Predicting the augmentations from two views' features."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator, seeded
from audioinv.core.augmentation import Augmentation, Parameter
from audioinv.core.auxiliary import (
    Equivariance,
    ParameterPredictor,
    applied,
    described,
    described_size,
    normalised,
)
from audioinv.core.bank import AugmentationBank
from audioinv.core.descriptor import DescriptorSpace


class Named(Augmentation):
    """Parameters only: nothing here is ever applied."""

    def __init__(self, name: str, *parameters: Parameter) -> None:
        self.name = name
        self.parameters = parameters

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        raise NotImplementedError


def make_bank(probability: float = 1.0) -> AugmentationBank:
    """One parameter with its identity inside the range, two with theirs beyond it."""
    shift = Named("shift", Parameter("semitones", "semitones", -12.0, 4.0, 0.0))
    noise = Named(
        "noise",
        Parameter("snr", "dB", 3.0, 30.0, math.inf),
        Parameter("decay", "", -2.0, 2.0, 0.0),
    )
    space = DescriptorSpace.single(["shift", "noise"])
    return AugmentationBank([shift, noise], space, probability=probability)


def pairs(n: int, probability: float = 1.0) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    bank = make_bank(probability)
    return bank.sample_pair(n, bank.space.all_on(), generator(0, "pairs"))


def naive_normalised(params: dict[str, Tensor], n: int) -> list[list[float]]:
    ranges = {"shift": [(-12.0, 4.0)], "noise": [(3.0, 30.0), (-2.0, 2.0)]}
    rows = []
    for k in range(n):
        row = []
        for name, limits in ranges.items():
            for p, (low, high) in enumerate(limits):
                value = min(max(float(params[name][k, p]), low), high)
                row.append((value - low) / (high - low))
        rows.append(row)
    return rows


def test_a_parameter_of_one_value_ranges_to_its_identity() -> None:
    """Grey or not, inverted above a half or not: being acted on must show."""
    grey = Named("grey", Parameter("amount", "", 1.0, 1.0, 0.0))
    inverted = Named("inverted", Parameter("threshold", "", 0.5, 0.5, 1.0))
    bank = AugmentationBank([grey, inverted], DescriptorSpace.single(["grey", "inverted"]))
    params = {"grey": torch.tensor([[0.0], [1.0]]), "inverted": torch.tensor([[1.0], [0.5]])}
    assert normalised(bank, params).tolist() == [[0.0, 1.0], [1.0, 0.0]]


def test_parameters_are_told_in_units_of_their_ranges() -> None:
    params, _ = pairs(20, probability=0.5)
    ours = normalised(make_bank(), params)
    torch.testing.assert_close(ours, torch.tensor(naive_normalised(params, 20)))
    assert float(ours.min()) >= 0 and float(ours.max()) == 1.0, "no noise counts as its least"


def test_what_is_no_quantity_is_not_predicted() -> None:
    """A place in the noise or a mode has no distance: views that differ in it alone are alike."""
    place = Parameter("offset", "place", 0.0, 1e6, 0.0, False, False)
    hiss = Named("hiss", Parameter("snr", "dB", 0.0, 30.0, math.inf), place)
    seeded_only = Named("seeded", Parameter("seed", "seed", 0.0, 9.0, -1.0, False, False))
    bank = AugmentationBank([hiss, seeded_only], DescriptorSpace.single(["hiss", "seeded"]))
    hissed = torch.tensor([[15.0, 7.0], [15.0, 9e5]])
    params = {"hiss": hissed, "seeded": torch.tensor([[3.0], [8.0]])}
    assert normalised(bank, params).tolist() == [[0.5], [0.5]]
    predictor = ParameterPredictor(bank, 5, 8, "differences")
    assert predictor.head[-1].out_features == 1
    alone = AugmentationBank([seeded_only], DescriptorSpace.single(["seeded"]))
    assert normalised(alone, params).shape == (2, 0)
    with pytest.raises(UserError, match=r"seeded.*pretrain\.predict=none"):
        ParameterPredictor(alone, 5, 8, "differences")


@torch.no_grad()
def test_the_loss_on_differences_is_the_naive_mean() -> None:
    n = 12
    first, second = pairs(n)
    a, b = torch.randn(2, n, 5, generator=generator(0, "features"))
    with seeded(0, "predictor"):
        predictor = ParameterPredictor(make_bank(), 5, 8, "differences")
    one, two = naive_normalised(first, n), naive_normalised(second, n)
    total = 0.0
    for k in range(n):
        told = predictor.head(torch.cat([a[k], b[k]]))
        for p in range(3):
            total += float(told[p] - (one[k][p] - two[k][p])) ** 2
    assert float(predictor((a, b), (first, second))) == pytest.approx(total / (3 * n), rel=1e-4)


def test_what_acted_is_what_is_not_at_its_identity() -> None:
    bank = make_bank()
    params = {
        "shift": torch.tensor([[0.0], [3.0], [0.0], [0.0]]),
        "noise": torch.tensor([[math.inf, 0.0], [math.inf, 0.0], [10.0, 0.0], [math.inf, 1.0]]),
    }
    assert applied(bank, params).tolist() == [[0, 0], [1, 0], [0, 1], [0, 1]]


@torch.no_grad()
def test_the_loss_on_what_acted_is_over_both_views() -> None:
    params = pairs(10, probability=0.5)
    views = torch.randn(2, 10, 5, generator=generator(0, "features"))
    with seeded(0, "predictor"):
        predictor = ParameterPredictor(make_bank(), 5, 8, "applied")
    total, count = 0.0, 0
    told = torch.sigmoid(predictor.head(views.flatten(0, 1))).unflatten(0, (2, 10))
    for probabilities, made in zip(told, params, strict=True):
        for k, probability in enumerate(probabilities):
            acted = [float(made["shift"][k, 0]) != 0, math.isfinite(float(made["noise"][k, 0]))]
            for p, truth in zip(probability, acted, strict=True):
                total -= math.log(float(p if truth else 1 - p))
                count += 1
    loss = predictor((views[0], views[1]), params)
    assert float(loss) == pytest.approx(total / count, rel=1e-4)


def test_what_acted_is_told_by_the_head_of_mt_slvr() -> None:
    """d -> 256 -> 64 -> 16 -> A, each hidden layer with BatchNorm and ReLU."""
    head = ParameterPredictor(make_bank(), 5, 8, "applied").head
    shapes = [tuple(layer.weight.shape) for layer in head[::3]]
    assert shapes == [(256, 5), (64, 256), (16, 64), (2, 16)]
    kinds = [type(layer).__name__ for layer in head]
    assert kinds == ["Linear", "BatchNorm1d", "ReLU"] * 3 + ["Linear"]


@pytest.mark.parametrize(("kind", "steps"), [("differences", 100), ("applied", 25)])
def test_the_loss_falls_where_features_hold_the_parameters(kind: str, steps: int) -> None:
    """Relative to what the best constant gives; features of noise do not get there."""
    params = pairs(512, probability=0.5)
    bank = make_bank()
    holding = tuple(torch.cat([normalised(bank, p), applied(bank, p)], dim=1) for p in params)
    noise = tuple(torch.randn(2, 512, 5, generator=generator(0, "noise")))
    if kind == "differences":
        target = normalised(bank, params[0]) - normalised(bank, params[1])
        constant = float(F.mse_loss(target.mean(0).expand_as(target), target))
    else:
        constant = math.log(2)
    falls = {}
    for name, (first, second) in (("holding", holding), ("noise", noise)):
        with seeded(0, "predictor"):
            predictor = ParameterPredictor(bank, 5, 12, kind)
        optimiser = torch.optim.Adam(predictor.parameters(), 0.01)
        for _ in range(steps):  # the wider head would learn the noise by heart
            loss = predictor((first, second), params)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        falls[name] = loss.item() / constant
    assert falls["holding"] < 0.3 < 0.5 < falls["noise"]


def test_gradients_reach_the_features() -> None:
    features = torch.randn(2, 6, 5, generator=generator(0, "f")).requires_grad_()
    for kind in ("differences", "applied"):
        with seeded(0, kind):  # of eight hidden units, drawn anew, all may be silent for a row
            predictor = ParameterPredictor(make_bank(), 5, 8, kind)
        loss = predictor((features[0], features[1]), pairs(6))
        (gradient,) = torch.autograd.grad(loss, features)
        assert bool((gradient.abs().sum(2) > 0).all())


def test_a_view_is_told_by_its_quantities_and_by_what_acted() -> None:
    bank, (first, second) = make_bank(), pairs(6, probability=0.5)
    told = described(bank, (first, second))
    assert told.shape == (12, described_size(bank)) == (12, 5)
    for k, row in enumerate(told.tolist()):
        view, own = (first, k) if k < 6 else (second, k - 6)
        assert row[:3] == pytest.approx(naive_normalised(view, 6)[own])
        acted = [float(view["shift"][own, 0]) != 0, math.isfinite(float(view["noise"][own, 0]))]
        assert row[3:] == acted


def in_batch(x: Tensor) -> Tensor:
    """What a new BatchNorm makes of x (B, d) in training."""
    return (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()


@torch.no_grad()
def test_equimods_loss_is_that_of_a_loop() -> None:
    n, bank, params = 6, make_bank(), pairs(6)
    features = torch.randn(3 * n, 5, generator=generator(0, "features"))
    with seeded(0, "module"):
        module = Equivariance(bank, 5, 8, 4, weight=2.0, temperature=0.5)
    first, _, _, second, _, _, third, _ = module.project
    hidden = in_batch(features @ first.weight.T).relu()
    y = in_batch(in_batch(hidden @ second.weight.T).relu() @ third.weight.T)
    told = in_batch(described(bank, params) @ module.embed[0].weight.T)
    inputs = torch.cat([torch.cat([y[2 * n :], y[2 * n :]]), told], dim=1)
    predicted = F.normalize(in_batch(inputs @ module.predict[0].weight.T), dim=1)
    both = torch.cat([predicted, F.normalize(y[: 2 * n], dim=1)])
    total = 0.0
    for k in range(4 * n):
        scores = [float(both[k] @ other) / 0.5 for other in both]
        others = sum(math.exp(s) for j, s in enumerate(scores) if j != k)
        total -= scores[(k + 2 * n) % (4 * n)] - math.log(others)
    loss = module.loss(*module(features, params))
    assert float(loss) == pytest.approx(2.0 * total / (4 * n), rel=1e-5)


def test_gradients_of_equimod_reach_views_and_plain_clips() -> None:
    features = torch.randn(18, 5, generator=generator(0, "f")).requires_grad_()
    with seeded(0, "module"):
        module = Equivariance(make_bank(), 5, 8, 4)
    (gradient,) = torch.autograd.grad(module.loss(*module(features, pairs(6))), features)
    assert bool((gradient.abs().sum(1) > 0).all())


def test_nothing_is_predicted_by_default_and_unknown_kinds_are_refused() -> None:
    predictor = ParameterPredictor(make_bank(), 5)
    assert list(predictor.parameters()) == []
    assert float(predictor((torch.ones(4, 5), torch.ones(4, 5)), pairs(4))) == 0.0
    with pytest.raises(UserError, match=r"pretrain\.predict.*'signs'.*none, differences, applied"):
        ParameterPredictor(make_bank(), 5, kind="signs")
