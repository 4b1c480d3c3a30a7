"""Adam on bases whose gradient is an outer product, without ever making that product.

A weight that is h B, with h (J,) computed from the descriptor and bases B (J, N), has the gradient
dL/dB = h (outer) dL/d(h B): J N numbers that two short vectors say as well. The backward pass keeps
the two, and the step multiplies them out a piece at a time: on a processor within its cache
(`core.fused_adam`), on a GPU for torch's own fused Adam. Either way the update is that of Adam on
the full gradient, up to rounding.

The 32 bases of the paper's ResNet-18 are 357 M numbers: 1.4 GB of gradient are neither allocated,
written nor read at each step, and several processes exchange dL/d(h B), a 32nd of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam

from audioinv.core.bases import Bases, joined
from audioinv.training import fused_adam

PIECE = 1 << 26
"""Numbers of a gradient that are multiplied out at a time, on a GPU."""


class RankOneAdam(torch.optim.Adam):
    """Adam (with `decoupled_weight_decay`, AdamW) that keeps gradients of `Bases` as factors.

    Its state is Adam's: a checkpoint of either can be loaded by the other. Several backward passes
    before a step add up, as gradients do. After the last step, `release` the module.
    """

    def __init__(self, groups: Any, **options: Any) -> None:
        super().__init__(groups, fused=True, **options)
        self.keep_factors()

    def keep_factors(self) -> None:
        """From here on backward passes leave factors; `release` is the opposite."""
        for bases in self._bases():
            bases.factors = []

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
        tensors = (bases.detach(), state["exp_avg"], state["exp_avg_sq"])
        skipped = getattr(self, "found_inf", None)  # of a scaler of fp16's loss, which torch heeds
        if fused_adam.applies(bases) and skipped is None:
            fused_adam.step(tensors, h, g, int(state["step"]) + 1, group)
        else:
            self._in_pieces(tensors, h, g, state["step"], group)
        state["step"] += 1 if skipped is None else 1 - skipped

    def _in_pieces(
        self, tensors: tuple[Tensor, ...], h: Tensor, g: Tensor, step: Tensor, group: dict[str, Any]
    ) -> None:
        """The same by torch's Adam, each piece's gradient multiplied out."""
        rows = len(tensors[0])
        columns = max(PIECE // rows, 1)
        for start in range(0, g.shape[1], columns):
            piece = slice(start, start + columns)
            values, first, second = (list(t[:, piece].unbind()) for t in tensors)
            gradient = list((h.T @ g[:, piece]).unbind())
            steps = list(step.repeat(rows).unbind())
            adam(
                values, gradient, first, second, [], steps,
                fused=True, amsgrad=False, maximize=False, lr=group["lr"], eps=group["eps"],
                beta1=group["betas"][0], beta2=group["betas"][1],
                weight_decay=group["weight_decay"],
                decoupled_weight_decay=group["decoupled_weight_decay"],
                grad_scale=getattr(self, "grad_scale", None),
                found_inf=getattr(self, "found_inf", None),
            )  # fmt: skip
