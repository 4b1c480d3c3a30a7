"""Solarise: bright pixels inverted."""

from __future__ import annotations

import torch
from torch import Tensor

from audioinv.core.augmentation import Augmentation, Parameter, check_range


class Solarise(Augmentation):
    """Replaces every value v above the threshold by 1 - v, channel by channel.

    At 0.5 the 8-bit values from 128 on are inverted, as in BYOL and MoCo-v3.

    Args:
        min_threshold, max_threshold: what `sample` draws from, 0 (a negative) to 1 (the image).

    Raises:
        UserError: a range that is not allowed.
    """

    name = "solarise"

    def __init__(self, min_threshold: float = 0.5, max_threshold: float = 0.5) -> None:
        check_range("solarise", min_threshold, max_threshold, (0, 1), "of full brightness")
        self.parameters = (
            Parameter("threshold", "of full brightness", min_threshold, max_threshold, 1.0, False),
        )

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        """Solarises `x` (B, 3, H, W) at `params` (B, 1); differentiable in `x`."""
        return torch.where(x > params.view(-1, 1, 1, 1), 1 - x, x)
