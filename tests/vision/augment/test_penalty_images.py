"""The gradient penalty on images: first and second derivatives, by differences."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audioinv.base.randomness import generator, seeded
from audioinv.core.encoder import AmortisedEncoder
from audioinv.core.penalty import GradientPenalty, gradient_penalty, twice_differentiable
from vision.augment import build_bank
from vision.frontend import Pixels

BANK = build_bank()
FREE = [
    (name, k)
    for name, augmentation in BANK.augmentations.items()
    for k, parameter in enumerate(augmentation.parameters)
    if parameter.differentiable and parameter.low < parameter.high
]
NAMES = [f"{name} {BANK.augmentations[name].parameters[k].name}" for name, k in FREE]


def images() -> Tensor:
    """Smooth colours with grey, black and white among them, (4, 3, 12, 12)."""
    coarse = torch.rand(4, 3, 4, 4, generator=generator(0, "x"), dtype=torch.float64)
    x = F.interpolate(coarse, size=12, mode="bicubic", align_corners=True).clamp(0.02, 0.98)
    x[1] = x[1].mean(0)
    x[2, :, :6] = 0
    x[2, :, 6:] = 1
    return x


def network() -> nn.Sequential:
    with seeded(0, "network"):
        layers = [nn.Flatten(), nn.Linear(432, 8), nn.Tanh(), nn.Linear(8, 5)]
        return nn.Sequential(*layers).double()


def differences(value: Callable[[float], Tensor], step: float) -> Tensor:
    """Central, of fourth order."""
    near, far = value(step) - value(-step), value(2 * step) - value(-2 * step)
    return (8 * near - far) / (12 * step)


@pytest.mark.parametrize(("name", "column"), FREE, ids=NAMES)
def test_first_derivatives(name: str, column: int) -> None:
    augmentation, x, net = BANK.augmentations[name], images(), network()
    params = augmentation.sample(4, generator(0, name)).double()
    alpha = params.clone().requires_grad_()
    e = torch.randn(4, 5, generator=generator(0, "e")).sign().double()
    h = F.normalize(net(augmentation.apply(x, alpha)), dim=1)
    (found,) = torch.autograd.grad((e * h).sum(), alpha)

    def moved(step: float) -> Tensor:
        there = params.clone()
        there[:, column] += step
        with torch.no_grad():
            return (e * F.normalize(net(augmentation.apply(x, there)), dim=1)).sum(1)

    expected = differences(moved, 1e-6)
    torch.testing.assert_close(found[:, column], expected, rtol=1e-4, atol=1e-6)
    assert bool(found.isfinite().all()) and float(found[:, column].abs().max()) > 1e-4


@pytest.mark.parametrize("name", dict(FREE))
def test_second_derivatives(name: str) -> None:
    bank, x, net = build_bank(names=[name]), images(), network()
    alphas = {name: bank.augmentations[name].sample(4, generator(0, name)).double()}
    alphas[name].requires_grad_()
    draws = GradientPenalty(bank, 5, 0.1, 10, [name]).draw(alphas, torch.ones(1), generator(0, "p"))
    assert draws is not None
    view, weights = bank.apply(x, alphas), list(net.parameters())
    penalty = gradient_penalty(net(view), alphas, draws)
    penalty.backward(inputs=weights, retain_graph=True)
    directions = [torch.randn(w.shape, generator=generator(0, "d")).double() for w in weights]
    found = sum(
        (w.grad * d).sum().item()
        for w, d in zip(weights, directions, strict=True)
        if w.grad is not None
    )

    def value(step: float) -> Tensor:
        for sign in (1, -1):
            with torch.no_grad():
                for weight, direction in zip(weights, directions, strict=True):
                    weight.add_(sign * step * direction)
            if sign == 1:
                there = gradient_penalty(net(view), alphas, draws).detach()
        return there

    assert found == pytest.approx(differences(value, 1e-5).item(), rel=1e-6)
    assert penalty.item() > 1e-6


@pytest.mark.parametrize(
    "backbone",
    [
        {"name": "resnet18", "width": 0.0625, "stem": "cifar", "pool": "global", "dim": 0},
        {
            "name": "vit_tiny_patch16_224", "pool": "token", "dim": 0,
            "options": {"img_size": 12, "patch_size": 4, "depth": 2, "embed_dim": 12},
        },
    ],
    ids=["resnet", "vit"],
)  # fmt: skip
def test_every_weight_of_a_network_gets_a_finite_gradient(backbone: dict) -> None:
    with seeded(0, "encoder"):
        encoder = AmortisedEncoder(Pixels(12), backbone, {"name": "none"}, BANK.space).train()
    sampler, corner = GradientPenalty(BANK, encoder.dim, 0.1), BANK.space.all_on()
    x = images().float()
    with torch.no_grad():
        views, (params, _) = BANK.views(x, corner, generator(0, "v"), sampler.active(corner))
    draws = sampler.draw(params, corner, generator(0, "p"))
    assert draws is not None
    with twice_differentiable():
        z = encoder(torch.cat(views), corner)[:4]
    gradient_penalty(z, params, draws).backward(inputs=list(encoder.parameters()))
    gradients = [w.grad for w in encoder.parameters() if w.grad is not None]
    assert len(gradients) > 20 and all(bool(g.isfinite().all()) for g in gradients)
    assert max(float(g.abs().max()) for g in gradients) > 0


def test_crop_and_rotation_are_left_out_unless_named() -> None:
    assert GradientPenalty(BANK, 5, 0.1).names == ["colour_jitter", "hue", "blur"]
    assert GradientPenalty(BANK, 5, 0.1, names=["crop"]).names == ["crop"]
