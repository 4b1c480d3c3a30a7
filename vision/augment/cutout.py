"""Cutout: a grey square over a part of the image."""

from __future__ import annotations

import torch
from torch import Tensor

from audioinv.core.augmentation import Augmentation, Parameter, check_range

GREY = 0.5


class Cutout(Augmentation):
    """Covers a square with mid grey (DeVries and Taylor, arXiv 1708.04552, 2017).

    The square's centre is anywhere in the image, so a part of it may lie outside, as in the paper.

    Args:
        min_size, max_size: its side that `sample` draws from, as a fraction of the shorter side of
            the image, 0 to 1. The paper's for CIFAR-10 is 0.5 (16 of 32 pixels).

    Raises:
        UserError: a range that is not allowed.
    """

    name = "cutout"

    def __init__(self, min_size: float = 0.25, max_size: float = 0.5) -> None:
        check_range("cutout", min_size, max_size, (0, 1), "of the shorter side")
        self.parameters = (
            Parameter("size", "fraction of the shorter side", min_size, max_size, 0.0, False),
            Parameter("x", "fraction of the width", 0.0, 1.0, 0.5, False),
            Parameter("y", "fraction of the height", 0.0, 1.0, 0.5, False),
        )

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        """Covers the pixels of `x` (B, 3, H, W) whose centres are in the square `params` (B, 3)."""
        height, width = x.shape[-2:]
        half = params[:, :1] * min(height, width) / 2
        columns = _distance(width, params[:, 1:2]) < half
        lines = _distance(height, params[:, 2:]) < half
        return x.masked_fill((lines[:, :, None] & columns[:, None])[:, None], GREY)


def _distance(n: int, centre: Tensor) -> Tensor:
    """Distance (B, n) of `n` pixels from `centre` (B, 1), a fraction of the side, in pixels."""
    pixels = torch.arange(n, device=centre.device, dtype=centre.dtype) + 0.5
    return (pixels - n * centre).abs()
