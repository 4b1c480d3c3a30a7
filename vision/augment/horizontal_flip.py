"""Horizontal flip."""

from __future__ import annotations

import torch
from torch import Tensor

from audioinv.core.augmentation import Augmentation, Parameter


class HorizontalFlip(Augmentation):
    """Mirrors left and right in half of the draws."""

    name = "horizontal_flip"
    parameters = (Parameter("flip", "0 | 1", 0.0, 1.0, 0.0, False, False),)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """0 or 1, (n, 1), equally likely."""
        return torch.randint(2, (n, 1), generator=generator).float()

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        """Mirrors the examples of `x` (B, 3, H, W) whose `params` (B, 1) are not 0."""
        return torch.where(params.view(-1, 1, 1, 1) != 0, x.flip(-1), x)
