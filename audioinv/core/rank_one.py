"""Adam on bases whose gradient is an outer product, without ever making that product.

A weight that is h B, with h (J,) computed from the descriptor and bases B (J, N), has the gradient
dL/dB = h (outer) dL/d(h B): J N numbers that two short vectors say as well. The backward pass keeps
the two; the step multiplies them out a cache-sized piece at a time and gives each piece to torch's
own fused Adam, so that the update is that of Adam on the full gradient, number for number.

The 32 bases of the paper's ResNet-18 are 357 M numbers: 1.4 GB of gradient are neither allocated,
written nor read at each step, and several processes exchange dL/d(h B), a 32nd of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.optim.adam import adam

PIECE = {"cpu": 1 << 20, "cuda": 1 << 26}
"""Numbers of a gradient that are multiplied out at a time."""
SMALLEST = 1 << 23
"""Numbers of bases whose gradient is kept as factors; below it, a whole gradient is faster."""


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


def release(module: nn.Module) -> None:
    """Makes the bases of `module` ordinary again: backward passes fill their `.grad`."""
    for parameter in module.parameters():
        if isinstance(parameter, Bases):
            parameter.factors = None


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


class RankOneAdam(torch.optim.Adam):
    """Adam (with `decoupled_weight_decay`, AdamW) that keeps gradients of `Bases` as factors.

    Its state is Adam's: a checkpoint of either can be loaded by the other. Several backward passes
    before a step add up, as gradients do. After the last step, `release` the module.
    """

    def __init__(self, groups: Any, **options: Any) -> None:
        super().__init__(groups, fused=True, **options)
        for bases in self._bases():
            bases.factors = [] if bases.numel() >= SMALLEST else None

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets gradients and factors."""
        super().zero_grad(set_to_none)
        for bases in self._bases():
            if bases.factors is not None:
                bases.factors.clear()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of Adam on every parameter that has a gradient or factors."""
        loss = super().step(closure)
        for group in self.param_groups:
            for bases in group["params"]:
                if isinstance(bases, Bases) and bases.factors:
                    self._update(bases, *joined(bases.factors), group)
        return loss

    def _bases(self) -> list[Bases]:
        return [p for group in self.param_groups for p in group["params"] if isinstance(p, Bases)]

    def _update(self, bases: Bases, h: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        """Adam's step by the gradient h^T g of factors h (R, J) and g (R, N)."""
        state = self.state[bases]
        if not state:
            state["step"] = torch.zeros((), device=bases.device)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(bases), torch.zeros_like(bases)
        tensors = (bases, state["exp_avg"], state["exp_avg_sq"])
        columns = max(PIECE.get(bases.device.type, 1 << 20) // len(bases), 1)
        for start in range(0, bases.shape[1], columns):
            piece = slice(start, start + columns)
            values, first, second = (list(t[:, piece].unbind()) for t in tensors)
            gradient = list((h.T @ g[:, piece]).unbind())
            steps = list(state["step"].repeat(len(bases)).unbind())
            adam(
                values, gradient, first, second, [], steps,
                fused=True, amsgrad=False, maximize=False, lr=group["lr"], eps=group["eps"],
                beta1=group["betas"][0], beta2=group["betas"][1],
                weight_decay=group["weight_decay"],
                decoupled_weight_decay=group["decoupled_weight_decay"],
                grad_scale=getattr(self, "grad_scale", None),
                found_inf=getattr(self, "found_inf", None),
            )  # fmt: skip
        state["step"] += 1


def joined(factors: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Factors of all backward passes, (R, J) and (R, N); the mean over processes of the latter.

    Processes share the descriptor, so their h are equal and only the other factor differs.
    """
    h, g = (torch.stack(parts) for parts in zip(*factors, strict=True))
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(g)
        g /= distributed.get_world_size()
    return h, g
