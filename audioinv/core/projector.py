"""The projection head between encoder and contrastive loss; thrown away after pre-training."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from audioinv.base.errors import UserError
from audioinv.base.near import unknown
from audioinv.core.descriptor import DescriptorSpace, place_of

KINDS = ("none", "shared", "per_descriptor", "conditioned", "parameters")
EMBEDDING = [64] * 6  # of CASSLE: six layers of 64


class Projector(nn.Module):
    """MLP d -> hidden -> dim, as many layers as asked for.

    Args:
        kind: "none" to contrast the features themselves; "shared" for one MLP; "per_descriptor" for
            one MLP a corner (the paper's choice); "conditioned" for one MLP that also sees the
            descriptor; "parameters" for one that also sees an embedding of how the view was made
            (CASSLE: Przewiezlikowski et al., Knowledge-Based Systems, 2024).
        layers: linear layers, 1 or more; all but the last end in BatchNorm and ReLU.
        last_norm: whether the last one ends in a BatchNorm without scale and offset (MoCo-v3).
        batch_norm: false leaves out the BatchNorm between layers (MoCo-v2).
        dropout: share of the features set to zero in training, 0 to below 1; the others grow by
            1 / (1 - dropout).
        told: of "parameters": how many numbers describe a view (`auxiliary.described`).

    Raises:
        UserError: unknown kind, no layer, or `dropout` out of range.
    """

    def __init__(
        self,
        space: DescriptorSpace,
        d: int,
        hidden: int = 256,
        dim: int = 128,
        kind: str = "shared",
        layers: int = 2,
        last_norm: bool = False,
        batch_norm: bool = True,
        dropout: float = 0.0,
        told: int = 0,
    ) -> None:
        super().__init__()
        if kind not in KINDS:
            raise unknown("projector", kind, KINDS)
        if layers < 1:
            raise UserError(f"projector_layers is {layers}; give 1 or more")
        if not 0 <= dropout < 1:
            raise UserError(f"dropout is {dropout}; give 0 or more, below 1")
        self.kind = kind
        self.dim = d if kind == "none" else dim
        self.corners = space.corners  # on the CPU, where a step's corner is drawn
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleList()
        if kind == "none":
            return
        copies = len(space.corners) if kind == "per_descriptor" else 1
        inputs = d + space.size if kind == "conditioned" else d
        if kind == "parameters":
            self.embedding = mlp([told, *EMBEDDING], False)
            inputs = d + EMBEDDING[-1]
        sizes = [inputs, *[hidden] * (layers - 1), dim]
        self.heads.extend(mlp(sizes, last_norm, batch_norm) for _ in range(copies))

    def forward(self, features: Tensor, descriptor: Tensor, told: Tensor | None = None) -> Tensor:
        """Projections (B, dim) of `features` (B, d) under one corner.

        Args:
            descriptor: the corner (K,), best on the CPU: to look one up on a GPU is to wait for it.
            told: how each view was made, (B, told); of the kind "parameters" alone.
        """
        features = self.dropout(features)
        if self.kind == "none":
            return features
        if self.kind == "conditioned":
            own = descriptor.to(features.device).expand(len(features), -1)
            features = torch.cat([features, own], dim=1)
        if self.kind == "parameters":
            features = torch.cat([features, self.embedding(told)], dim=1)
        if self.kind == "per_descriptor":
            return self.heads[place_of(self.corners, descriptor)](features)
        return self.heads[0](features)


def mlp(sizes: list[int], last_norm: bool, batch_norm: bool = True) -> nn.Sequential:
    """Linear layers of the given sizes; all but the last end in BatchNorm (or not) and ReLU."""
    layers: list[nn.Module] = []
    for inputs, hidden in itertools.pairwise(sizes[:-1]):
        norm = [nn.BatchNorm1d(hidden)] if batch_norm else []
        layers += [nn.Linear(inputs, hidden, bias=not batch_norm), *norm, nn.ReLU(True)]
    layers.append(nn.Linear(sizes[-2], sizes[-1], bias=not last_norm))
    if last_norm:
        layers.append(nn.BatchNorm1d(sizes[-1], affine=False))
    return nn.Sequential(*layers)
