"""Descriptor-conditioned scale and offset of normalisation layers (FiLM, Perez et al., 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from audioinv.core.errors import UserError

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
        """Parameter name -> what is added to it, for one descriptor (K,)."""
        added = self.output(torch.relu(self.hidden(2 * descriptor - 1)))
        return dict(zip(self.sizes, added.split(list(self.sizes.values())), strict=True))

    @torch.no_grad()
    def _set_scale(self, size: int, scale: float) -> None:
        corners = torch.randint(0, 2, (64, size)).float()
        spread = torch.relu(self.hidden(2 * corners - 1)).var(0).sum().sqrt()
        nn.init.normal_(self.output.weight, std=scale / float(spread))
