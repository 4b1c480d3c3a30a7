"""The front end of images: pixels (B, 3, H, W) in [0, 1] -> normalised maps of the same size."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from audioinv.base.errors import UserError
from audioinv.data.fitting import Fitted


class Pixels(Fitted, nn.Module):
    """Takes one mean from every channel and divides by one standard deviation.

    Args:
        image_size: height and width in pixels.

    Raises:
        UserError: `image_size` below 1.
    """

    name = "pixels"
    mean: Tensor
    std: Tensor

    def __init__(self, image_size: int = 32) -> None:
        super().__init__()
        if image_size < 1:
            raise UserError(f"image_size is {image_size}; give 1 or more pixels")
        self.config: dict[str, Any] = {"name": self.name, "image_size": image_size}
        self.output_size = (3, image_size, image_size)
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("std", torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] -> maps (B, 3, H, W) of mean 0 and deviation 1.

        Channels last in memory: convolutions take that layout over and are faster in it.
        """
        maps = (x - self.mean[:, None, None]) / self.std[:, None, None]
        return maps.contiguous(memory_format=torch.channels_last)

    @torch.no_grad()
    def fit_statistics(self, batches: Iterable[Tensor]) -> dict[str, list[float]]:
        """Computes mean and standard deviation of every channel, keeps and returns them."""
        count, total, square = 0, torch.zeros(3).double(), torch.zeros(3).double()
        for x in batches:
            values = x.double()
            count += values.numel() // 3
            total += values.sum((0, 2, 3))
            square += values.square().sum((0, 2, 3))
        mean = total / max(count, 1)
        variance = (square / max(count, 1) - mean**2).clamp_min(0)
        return self.set_statistics(mean.tolist(), variance.sqrt().tolist())

    def set_statistics(self, mean: list[float], std: list[float]) -> dict[str, list[float]]:
        """Sets the statistics, three of each.

        Raises:
            UserError: not three finite values, or a deviation of zero: the images are all alike.
        """
        if len(mean) != 3 or len(std) != 3 or not all(map(math.isfinite, [*mean, *std])):
            raise UserError(f"statistics of images are 3 means and 3 deviations, got {mean}, {std}")
        if min(std) < 1e-4:
            raise UserError(
                f"deviations of the channels are {std}: is every image the same colour?"
            )
        self.mean.copy_(torch.tensor(mean))
        self.std.copy_(torch.tensor(std))
        return {"mean": mean, "std": std}
