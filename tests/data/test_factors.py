"""Clips that are factors: drawing them, and augmentations that redraw some of them."""

from __future__ import annotations

import pytest
import torch

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator
from audioinv.data.factors import Factor, build_bank, draw, task_augmentation

FACTORS = {
    f.name: f
    for f in (
        Factor("size", "m", 1.0, 3.0, 2.0),
        Factor("rate", "Hz", 1.0, 100.0, 5.0, "log", least=0.01),
        Factor("grey", "0 to 1", 0.2, 0.8, 0.5, least=0.0, most=1.0),
    )
}
ALL, NONE = torch.ones(2), torch.zeros(2)


def clips(n: int = 5) -> torch.Tensor:
    return torch.stack(list(draw(FACTORS, n, generator(0, "clips")).values()), 1)


def test_drawing_varies_what_it_is_told_and_keeps_the_rest() -> None:
    values = draw(FACTORS, 3, generator(1, "d"), varied=["size"], fixed={"grey": 0.25})
    assert values["rate"].tolist() == [5.0] * 3 and values["grey"].tolist() == [0.25] * 3
    again = draw(FACTORS, 3, generator(1, "d"))
    assert torch.equal(again["size"], values["size"]), "one choice never moves another"
    with pytest.raises(UserError, match=r"hue.*size, rate, grey"):
        draw(FACTORS, 3, generator(1, "d"), varied=["hue"])


def test_a_scale_and_its_inverse() -> None:
    uniform = torch.linspace(-0.5, 1.5, 9)
    for factor in FACTORS.values():
        assert torch.allclose(factor.to_uniform(factor.from_uniform(uniform)), uniform, atol=1e-5)
    assert FACTORS["rate"].from_uniform(torch.tensor(0.5)) == pytest.approx(10.0)


def test_nuisances_are_redrawn_within_their_range_and_targets_stay() -> None:
    bank, x = build_bank(FACTORS, {"names": ["rate", "grey"]}), clips(2000)
    params = bank.sample(len(x), ALL, generator(0, "views"))
    y = bank.apply(x, params)
    assert torch.equal(y[:, 0], x[:, 0])
    assert torch.equal(y[:, 1], params["rate"][:, 0]) and torch.equal(y[:, 2], params["grey"][:, 0])
    assert y[:, 1].min() >= 1 and y[:, 1].max() <= 100
    assert 0.45 < (y[:, 1] < 10).float().mean() < 0.55, "uniform along the logarithm"


def test_a_descriptor_of_zeros_changes_nothing() -> None:
    bank, x = build_bank(FACTORS, {"names": ["rate", "grey"]}), clips()
    params = bank.sample(len(x), NONE, generator(0, "views"))
    assert torch.equal(bank.apply(x, params), x)
    grey = bank.augmentations["grey"]
    assert not grey.acts(grey.identity(3)).any()
    assert torch.equal(grey.apply(x, grey.identity(len(x))), x)


def test_each_example_has_a_parameter_of_its_own_with_a_gradient() -> None:
    grey = task_augmentation(FACTORS, "grey")
    x, params = clips(4), torch.tensor([[0.3], [float(grey.identity(1))], [0.5], [0.7]])
    params.requires_grad_()
    y = grey.apply(x, params)
    assert y[:, 2].tolist() == pytest.approx([0.3, float(x[1, 2]), 0.5, 0.7])
    (gradient,) = torch.autograd.grad((y[:, 2] * torch.tensor([1.0, 2.0, 3.0, 4.0])).sum(), params)
    assert gradient.flatten().tolist() == [1, 0, 3, 4]


def test_strength_widens_a_nuisance_about_its_middle_within_what_it_can_be() -> None:
    grey = task_augmentation(FACTORS, "grey")
    params = torch.tensor([[0.2], [0.5], [0.8], [float(grey.identity(1))]])
    assert grey.at_strength(params, 0.5)[:3, 0].tolist() == pytest.approx([0.35, 0.5, 0.65])
    assert grey.at_strength(params, 1.5)[:3, 0].tolist() == pytest.approx([0.05, 0.5, 0.95])
    assert grey.at_strength(params, 3)[:3, 0].tolist() == pytest.approx([0, 0.5, 1])
    assert torch.equal(grey.at_strength(params, 2)[3], params[3]), "what keeps its value, keeps it"
    assert not grey.acts(grey.at_strength(params, 0)).any()
    rate = task_augmentation(FACTORS, "rate").at_strength(torch.tensor([[1.0], [100.0]]), 0.5)
    assert rate[:, 0].tolist() == pytest.approx([10**0.5, 10**1.5])


def test_ranges_are_the_configs_and_bounded_by_what_a_factor_can_be() -> None:
    bank = build_bank(FACTORS, {"names": ["grey"], "ranges": {"grey": {"low": 0.0, "high": 1.0}}})
    drawn = bank.augmentations["grey"].sample(1000, generator(0, "g"))
    assert drawn.min() < 0.1 and drawn.max() > 0.9
    with pytest.raises(UserError, match=r"grey.*0\.2 to 1\.5.*0\.0 and 1\.0"):
        build_bank(FACTORS, {"names": ["grey"], "ranges": {"grey": {"high": 1.5}}})
    with pytest.raises(UserError, match=r"hue.*\['size', 'rate', 'grey'\]"):
        task_augmentation(FACTORS, "hue")
