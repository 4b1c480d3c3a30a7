"""Bases of generated weights, whose gradient is kept as two factors of an outer product."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn


class Bases(nn.Parameter):
    """Bases (J, N) of one weight.

    `factors` is None (the gradient goes to `.grad`, as with any parameter), or what a
    `RankOneAdam` makes of it: a list that gets (h, dL/d(h B)) at each backward pass.
    """

    factors: list[tuple[Tensor, Tensor]] | None = None


def combine(h: Tensor, bases: Tensor) -> Tensor:
    """h B, (N,), of coefficients `h` (J,) and `bases` (J, N)."""
    factors = getattr(bases, "factors", None)
    if factors is None or not bases.requires_grad:
        return h @ bases
    combined: Tensor = _Combine.apply(h, bases.detach(), factors)
    return combined


def kept_as_factors(parameter: nn.Parameter) -> bool:
    """Whether backward passes leave the gradient of these bases as factors, and none in `.grad`."""
    return getattr(parameter, "factors", None) is not None and parameter.requires_grad


def release(module: nn.Module) -> None:
    """Makes the bases of `module` ordinary again: backward passes fill their `.grad`."""
    for parameter in module.parameters():
        if isinstance(parameter, Bases):
            parameter.factors = None


def keep_apart(module: nn.Module) -> None:
    """Gives factors of the last backward pass memory of their own, before another pass.

    A base weight's `.grad` may share it with them, and the next pass adds to that in place.
    """
    for parameter in module.parameters():
        if isinstance(parameter, Bases) and parameter.factors:
            h, g = parameter.factors[-1]
            parameter.factors[-1] = (h, g.clone())


class _Combine(torch.autograd.Function):
    """h B; its gradient by B is left behind as two factors. Always in B's own precision."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, bases: Tensor, factors: list[tuple[Tensor, Tensor]]) -> Tensor:
        ctx.save_for_backward(h, bases)
        ctx.factors = factors
        with torch.autocast(h.device.type, enabled=False):
            return h.to(bases.dtype) @ bases

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        h, bases = ctx.saved_tensors
        ctx.factors.append((h.to(bases.dtype), gradient))
        return (bases @ gradient).to(h.dtype), None, None


def joined(factors: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Factors of all backward passes, (R, J) and (R, N); the mean over processes of the latter.

    Processes share the descriptor, so their h are equal and only the other factor differs.
    """
    h, g = (torch.stack(parts) for parts in zip(*factors, strict=True))
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(g)
        g /= distributed.get_world_size()
    return h, g
