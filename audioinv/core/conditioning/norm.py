"""Descriptor-conditioned scale and offset of normalisation layers (FiLM, Perez et al., 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from audioinv.base.errors import UserError
from audioinv.core.conditioning.per_example import PerExample, affine, takes_affine

NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)


class NormConditioning(nn.Module):
    """Adds a descriptor-dependent part to the weight and bias of every normalisation layer.

    Args:
        backbone: with affine normalisation layers.
        size: K, components of a descriptor.
        hidden: units of the MLP K -> hidden -> all scales and offsets.
        scale: standard deviation of the modulation at the start, next to scales of 1.

    Raises:
        UserError: the backbone has no affine normalisation layer.
    """

    def __init__(
        self, backbone: nn.Module, size: int, hidden: int = 64, scale: float = 0.5
    ) -> None:
        super().__init__()
        self.sizes = {
            f"{name}.{part}": parameter.numel()
            for name, module in backbone.named_modules()
            if isinstance(module, NORMS)
            for part, parameter in module.named_parameters()
        }
        if not self.sizes:
            raise UserError("norm conditioning found no affine normalisation layer")
        self.hidden = nn.Linear(size, hidden)
        self.output = nn.Linear(hidden, sum(self.sizes.values()), bias=False)
        self._set_scale(size, scale)

    def forward(self, descriptor: Tensor) -> dict[str, Tensor]:
        """Parameter name -> what is added to it, for one descriptor (K,), or for each of (B, K)."""
        added = self.output(torch.relu(self.hidden(2 * descriptor - 1)))
        return dict(zip(self.sizes, added.split(list(self.sizes.values()), dim=-1), strict=True))

    def per_example(self, descriptors: Tensor, backbone: nn.Module) -> PerExample | None:
        """How to run `backbone` under descriptors (B, K); None if a layer is no plain BatchNorm."""
        layers = dict.fromkeys(name.rpartition(".")[0] for name in self.sizes)
        if not all(takes_affine(backbone.get_submodule(name)) for name in layers):
            return None
        base = {name: backbone.get_parameter(name) for name in self.sizes}
        added = self(descriptors)
        hooks = {
            name: affine(
                base[f"{name}.weight"] + added[f"{name}.weight"],
                base[f"{name}.bias"] + added[f"{name}.bias"],
            )
            for name in layers
        }
        neutral = {
            name: torch.full_like(value, float(name.endswith("weight")))
            for name, value in base.items()
        }
        return PerExample(neutral, hooks)

    @torch.no_grad()
    def _set_scale(self, size: int, scale: float) -> None:
        corners = torch.randint(0, 2, (64, size)).float()
        spread = torch.relu(self.hidden(2 * corners - 1)).var(0).sum().sqrt()
        nn.init.normal_(self.output.weight, std=scale / float(spread))
