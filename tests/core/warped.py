"""A bank of differentiable augmentations in closed form, for the gradient penalty."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from audioinv.base.randomness import generator
from audioinv.core.augmentation import Augmentation, Parameter
from audioinv.core.bank import AugmentationBank
from audioinv.core.descriptor import DescriptorSpace
from audioinv.core.penalty import GradientPenalty, PenaltyDraws

WIDTH = 6


class Warp(Augmentation):
    """x -> tanh(amount * x + tilt * ramp), and a mode that flips the sign: two free parameters."""

    def __init__(self, name: str = "warp", opaque: bool = False) -> None:
        self.name = name
        self.opaque = opaque
        self.parameters = (
            Parameter("amount", "", 0.5, 1.5, math.inf),
            Parameter("tilt", "", -1.0, 1.0, 0.0),
            Parameter("mode", "0 | 1", 0.0, 1.0, 0.0, differentiable=False),
        )

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        rows = super().sample(n, generator)
        rows[:, 2] = rows[:, 2].round()
        return rows

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        rows = params.to(x.dtype).view(len(x), 3, *[1] * (x.ndim - 1))
        ramp = torch.linspace(-1, 1, x.shape[-1], dtype=x.dtype)
        return torch.tanh(rows[:, 0] * x + rows[:, 1] * ramp) * (1 - 2 * rows[:, 2])


def make_bank(**options: Any) -> AugmentationBank:
    space = DescriptorSpace.single(["warp", "other"])
    return AugmentationBank([Warp(), Warp("other")], space, **options)


def tracked(
    bank: AugmentationBank, x: Tensor, descriptor: Tensor, sampler: GradientPenalty, seed: int = 0
) -> tuple[Tensor, dict[str, Tensor], PenaltyDraws]:
    """View 1 with its graph, its parameters, and the draws; in double precision if `x` is."""
    with torch.no_grad():
        (view, _), (params, _) = bank.views(
            x, descriptor, generator(seed, "views"), tracked=sampler.active(descriptor)
        )
    draws = sampler.draw(params, descriptor, generator(seed, "penalty"))
    assert draws is not None and view.requires_grad
    if x.dtype == torch.float64:
        params = {
            name: rows.detach().double().requires_grad_(rows.requires_grad)
            for name, rows in params.items()
        }
        view = bank.apply(x, params)
    return view, params, draws
