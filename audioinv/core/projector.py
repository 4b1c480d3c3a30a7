"""The projection head between encoder and contrastive loss; thrown away after pre-training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from audioinv.core.descriptor import DescriptorSpace
from audioinv.core.errors import UserError

KINDS = ("none", "shared", "per_descriptor", "conditioned")


class Projector(nn.Module):
    """Two-layer MLP d -> hidden -> dim.

    Args:
        kind: "none" to contrast the features themselves; "shared" for one MLP; "per_descriptor" for
            one MLP a corner (the paper's choice); "conditioned" for one MLP that also sees the
            descriptor.

    Raises:
        UserError: unknown kind.
    """

    corners: Tensor

    def __init__(
        self,
        space: DescriptorSpace,
        d: int,
        hidden: int = 256,
        dim: int = 128,
        kind: str = "shared",
    ) -> None:
        super().__init__()
        if kind not in KINDS:
            raise UserError(f"projector is '{kind}'; give one of {', '.join(KINDS)}")
        self.kind = kind
        self.register_buffer("corners", space.corners, persistent=False)
        self.heads = nn.ModuleList()
        if kind == "none":
            return
        copies = len(space.corners) if kind == "per_descriptor" else 1
        inputs = d + space.size if kind == "conditioned" else d
        self.heads.extend(_mlp(inputs, hidden, dim) for _ in range(copies))

    def forward(self, features: Tensor, descriptor: Tensor) -> Tensor:
        """Projections (B, dim) of `features` (B, d) under one corner `descriptor` (K,)."""
        if self.kind == "none":
            return features
        if self.kind == "conditioned":
            features = torch.cat([features, descriptor.expand(len(features), -1)], dim=1)
        if self.kind == "per_descriptor":
            match = (self.corners == descriptor).all(1)
            return self.heads[int(match.nonzero()[0])](features)
        return self.heads[0](features)


def _mlp(inputs: int, hidden: int, dim: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, dim),
    )
