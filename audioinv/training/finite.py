"""What happens at a step whose loss or gradient is not finite."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from audioinv.base.errors import UserError
from audioinv.base.near import unknown
from audioinv.core.bases import Bases, joined

POLICIES = ("stop", "skip")
log = logging.getLogger(__name__)


class FiniteSteps:
    """The policy of a run: "stop" at the first such step, or "skip" it.

    A step that is skipped leaves weights, optimiser, queues and BatchNorm statistics as they were;
    with more than `limit` of them in a row there is no hope and the run stops too. Mixed precision
    with fp16 scales its loss and skips overflowing gradients by itself, which does not count.

    Args:
        model: what is trained. explain: step -> words that name the step and the last checkpoint.

    Raises:
        UserError: unknown policy.
    """

    def __init__(
        self, policy: str, limit: int, model: nn.Module, fabric: Fabric, explain: Callable[..., str]
    ) -> None:
        if policy not in POLICIES:
            raise unknown("pretrain.not_finite", policy, POLICIES)
        self.policy = policy
        self.limit = limit
        self.model = model
        self.explain = explain
        self.scaler = getattr(fabric.strategy.precision, "scaler", None)
        self.in_a_row = 0
        self.before: dict[str, Tensor] = {}

    def remember(self) -> None:
        """Keeps what a forward pass changes: to be called before it."""
        if self.policy == "skip":
            self.before = {name: b.clone() for name, b in self._buffers().items()}

    def loss(self, loss: float, *where: Any) -> bool:
        """Whether to go on with a step of this loss (a mean over processes).

        Raises:
            UserError: it is not finite, and skipping is not allowed or did not help.
        """
        return self._go_on("loss", loss, *where)

    def gradient(self, *where: Any) -> bool:
        """Whether to go on with the step that `backward` has prepared; "stop" does not look."""
        looked_at = self.policy == "skip" and self.scaler is None
        if looked_at and not self._go_on("gradient's norm", float(self.gradient_norm()), *where):
            return False
        self.in_a_row = 0
        return True

    @torch.no_grad()
    def gradient_norm(self) -> Tensor:
        """Euclidean norm of all gradients together, of the loss as it is without scaling.

        Every process has to ask: gradients of bases that are kept as factors are joined for it.
        """
        parameters = list(self.model.parameters())
        norms = [get_total_norm([p.grad for p in parameters if p.grad is not None])]
        for bases in parameters:
            if isinstance(bases, Bases) and bases.factors:
                h, g = joined(bases.factors)
                norms.append(((h @ h.T) * (g @ g.T)).sum().sqrt())  # of h^T g, never multiplied out
        scale = 1.0 if self.scaler is None else float(self.scaler.get_scale())
        return torch.stack(norms).norm() / scale

    def weights(self, *where: Any) -> None:
        """Raises a UserError unless all weights are finite: a checkpoint of others is of no use."""
        found = [p.isfinite().all() for p in self.model.parameters()]
        if found and not torch.stack(found).all():  # asked once
            raise UserError(f"a weight is not finite {self.explain(*where)}")

    def _go_on(self, what: str, value: float, *where: Any) -> bool:
        if math.isfinite(value):
            return True
        self.in_a_row += 1
        if self.policy == "stop" or self.in_a_row > self.limit:
            tried = f" ({self.limit} steps before it were skipped)" if self.in_a_row > 1 else ""
            raise UserError(f"the {what} is {value} {self.explain(*where)}{tried}")
        log.warning("step skipped: the %s is %s %s", what, value, self.explain(*where))
        for name, buffer in self._buffers().items():
            buffer.copy_(self.before[name])
        return False

    def _buffers(self) -> dict[str, Tensor]:
        """All but MoCo's queues, which are large and change after a step only."""
        return {n: b for n, b in self.model.named_buffers() if not n.startswith("queue.")}
