"""A front end that hands maps through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


class PlainFrontend(nn.Module):
    """Maps of one size (C, H, W)."""

    config: Mapping[str, Any] = {"name": "plain"}

    def __init__(self, size: tuple[int, int, int]) -> None:
        super().__init__()
        self.output_size = size

    def forward(self, x: Tensor) -> Tensor:
        return x
