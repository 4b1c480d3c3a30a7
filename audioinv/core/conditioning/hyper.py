"""Weights that are a descriptor-dependent combination of a few learnt bases.

    weight(i) = base + sum_j relu(h_j(i)) basis_j,     h(i) = W_2 (W_1 i) + c

Chavhan et al. (ICLR 2023) generate every convolution of a residual block with an MLP 16 -> 32 ->
ReLU -> numel(weight) over an embedding of i shared by the block: this formula with 32 bases, where
the last bias of the MLP is the base. Fewer bases, or bases of low rank, are the same, cheaper.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from audioinv.base.errors import UserError
from audioinv.base.near import meant
from audioinv.core.bases import Bases, combine
from audioinv.core.conditioning.per_example import Hook, PerExample, low_rank, takes_low_rank

STEM = ("trunk.conv1.", "trunk.stem.", "trunk.patch_embed.")
"""Prefixes of parameter names: the first layers of timm's ResNets, ConvNeXts and ViTs."""


class HyperConditioning(nn.Module):
    """Adds a combination of bases to every weight matrix or kernel.

    Args:
        backbone: its weights with two or more dimensions are modulated; tokens and position
            embeddings are not.
        size: K, components of a descriptor.
        bases: how many bases a weight has. The paper's setting is 32.
        embedding: size of the descriptor's embedding, one per block. The paper's setting is 16.
        rank: 0 for full bases; r > 0 for bases that are products (out, r) x (r, in * kernel).
        scale: size of the modulation at the start, relative to the base weight. Near 0 the encoder
            starts unconditioned and tends to stay so.
        signed: embed 2 i - 1 instead of i, so that a component at 0 speaks as loudly as one at 1.
        gain: how much faster an optimiser such as Adam moves bases of low rank, whose factors are
            kept divided by it (the equalised learning rate of Karras et al., ICLR 2018). Adam moves
            every number alike, and of two factors each reaches the weight only through the other:
            a step on eight bases of rank 2 goes down a third as far as one on eight full bases. A
            gain of 6 makes up for it (recipes/fsdd/ssl1/NOTEBOOK.md).
        start: "scaled" as `scale` says, or "paper" as `_draw_as_published` does, for full bases.
        stem: modulate the first layer of timm's networks too. False, as in the paper, shares it
            among all descriptors: what it drops is lost to each of them.
        skip: prefixes of parameter names that are not modulated; None takes what `stem` says.

    Raises:
        UserError: a number out of range, an unknown start, or nothing to modulate.
    """

    modulations: Any  # of _Modulation

    def __init__(
        self,
        backbone: nn.Module,
        size: int,
        bases: int = 32,
        embedding: int = 16,
        rank: int = 0,
        scale: float = 1.0,
        signed: bool = False,
        gain: float = 1.0,
        start: str = "scaled",
        stem: bool = False,
        skip: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        if bases < 1 or embedding < 1 or rank < 0 or scale < 0 or not 0 < gain < math.inf:
            raise UserError(
                "hyper conditioning needs bases, embedding >= 1, rank, scale >= 0 and gain > 0"
            )
        if start not in ("scaled", "paper") or (start == "paper" and rank):
            raise UserError(
                f"hyper conditioning has start='{start}' and rank={rank}; "
                f"give scaled, or paper with rank=0{meant(start, ('scaled', 'paper'))}"
            )
        if skip is None:
            skip = () if stem else STEM
        weights = _modulated(backbone, tuple(skip))
        self.signed = signed
        self.names = list(weights)
        self.blocks = [_block(name) for name in self.names]
        self.embeddings = nn.ModuleDict(
            {key: nn.Linear(size, embedding, bias=False) for key in dict.fromkeys(self.blocks)}
        )
        self.modulations = nn.ModuleList(
            _Modulation(weight, embedding, bases, rank, gain) for weight in weights.values()
        )
        if start == "paper":
            self._draw_as_published(list(weights.values()))
        else:
            self._set_scale(size, scale)

    def forward(self, descriptor: Tensor) -> dict[str, Tensor]:
        """Parameter name -> what is added to it, for one descriptor (K,)."""
        i = 2 * descriptor - 1 if self.signed else descriptor
        embedded = {key: embed(i) for key, embed in self.embeddings.items()}
        return {
            name: modulation(embedded[block])
            for name, block, modulation in zip(
                self.names, self.blocks, self.modulations, strict=True
            )
        }

    def per_example(self, descriptors: Tensor, backbone: nn.Module) -> PerExample | None:
        """How to run `backbone` under descriptors (B, K); None for full bases.

        Those would take `bases` further convolutions as large as the layer's own.
        """
        layers = [name.removesuffix(".weight") for name in self.names]
        if not all(takes_low_rank(backbone.get_submodule(name)) for name in layers):
            return None
        i = 2 * descriptors - 1 if self.signed else descriptors
        embedded = {key: embed(i) for key, embed in self.embeddings.items()}
        parts = zip(self.blocks, self.modulations, strict=True)
        hooks = [modulation.per_example(embedded[block]) for block, modulation in parts]
        return None if None in hooks else PerExample(hooks=dict(zip(layers, hooks, strict=True)))

    @torch.no_grad()
    def _set_scale(self, size: int, scale: float) -> None:
        """Makes the modulation vary over random corners by `scale` times the base's own spread."""
        corners = torch.randint(0, 2, (64, size)).float()
        inputs = 2 * corners - 1 if self.signed else corners
        for block, modulation in zip(self.blocks, self.modulations, strict=True):
            coefficients = modulation.coefficients(self.embeddings[block](inputs))
            spread = coefficients.var(0).sum().sqrt().clamp_min(1e-6)
            modulation.set_spread(scale * modulation.base_std / spread)

    @torch.no_grad()
    def _draw_as_published(self, base: Sequence[nn.Parameter]) -> None:
        """The start of the code that Chavhan et al. released, of the base weights too.

        There every matrix of an MLP is drawn from N(0, 2 / outputs), of which the last one has as
        many as the kernel has numbers, and the base is that layer's bias as torch draws it. The
        larger a kernel, the less it varies: by .007 to .16 of its own spread in a ResNet-50 of two
        components.
        """
        for embedding in self.embeddings.parameters():
            nn.init.kaiming_normal_(embedding, mode="fan_out", nonlinearity="relu")
        for modulation, weight in zip(self.modulations, base, strict=True):
            hidden = modulation.hidden
            nn.init.kaiming_normal_(hidden.weight, mode="fan_out", nonlinearity="relu")
            modulation.set_spread(math.sqrt(2 / weight.numel()))
            nn.init.uniform_(weight, -(hidden.out_features**-0.5), hidden.out_features**-0.5)


def _modulated(backbone: nn.Module, skip: tuple[str, ...]) -> dict[str, nn.Parameter]:
    """The weights and kernels of a backbone by name, but those whose name begins with `skip`."""
    weights = {
        name: weight
        for name, weight in backbone.named_parameters()
        if weight.ndim >= 2 and name.endswith("weight") and not name.startswith(skip)
    }
    if not weights:
        raise UserError("hyper conditioning found no weight to modulate in this backbone")
    return weights


class _Modulation(nn.Module):
    """The added part of one weight: `bases` tensors of its shape and their coefficients."""

    def __init__(self, weight: Tensor, embedding: int, bases: int, rank: int, gain: float) -> None:
        super().__init__()
        self.shape = weight.shape
        self.base_std = weight.detach().std()
        self.hidden = nn.Linear(embedding, bases)
        rows, columns = weight.shape[0], weight[0].numel()
        if rank:
            self.gain = gain
            self.left = nn.Parameter(torch.randn(bases, rows, rank) / gain)
            self.right = nn.Parameter(torch.randn(bases, rank, columns) / (gain * math.sqrt(rank)))
        else:
            self.full = Bases(torch.randn(bases, rows * columns))

    def coefficients(self, embedded: Tensor) -> Tensor:
        return torch.relu(self.hidden(embedded))

    def forward(self, embedded: Tensor) -> Tensor:
        coefficients = self.coefficients(embedded)
        if hasattr(self, "full"):
            return combine(coefficients, self.full).view(self.shape)
        # The bases are summed as one wide product: no basis is ever multiplied out by itself.
        wide = (self.gain**2 * coefficients)[:, None, None]
        left = (self.left * wide).permute(1, 0, 2).flatten(1)
        return (left @ self.right.flatten(0, 1)).view(self.shape)

    def per_example(self, embedded: Tensor) -> Hook | None:
        """What adds an example's own part to the layer's output, of embeddings (B, E)."""
        if hasattr(self, "full"):
            return None
        return low_rank(self.left, self.right, self.gain**2 * self.coefficients(embedded))

    def set_spread(self, std: Tensor | float) -> None:
        (self.full if hasattr(self, "full") else self.left).mul_(std)


def _block(name: str) -> str:
    """The residual block of a parameter: "trunk.layer1.0.conv1.weight" -> its first part."""
    parts = name.split(".")
    depth = next((k for k, part in enumerate(parts) if part.isdigit()), 0)
    return "/".join(parts[: depth + 1])
