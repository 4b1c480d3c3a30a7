"""Random resized crop: a box of the image, enlarged to the whole image's size."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from audioinv.core.augmentation import Augmentation, Parameter, check_range, restore, working

TRIES = 10  # as many as torchvision's RandomResizedCrop makes


class Crop(Augmentation):
    """Cuts a box out of the image and resizes it to the image's size.

    With s the `scale`, r = exp(`log_ratio`) and the image's sides as units, the box is sqrt(s r)
    wide, sqrt(s / r) high and centred at (`x`, `y`). So r is the box's aspect ratio relative to
    the image's: on square images just its aspect ratio. The box is never larger than the image and
    resizing only enlarges it: bilinear interpolation needs no antialiasing filter.

    Args:
        min_scale, max_scale: the box's share of the area that `sample` draws from, 0.0001 to 1.
        max_ratio: aspect ratios are drawn from 1 / max_ratio to max_ratio, 1 to 10.

    Raises:
        UserError: a range that is not allowed.
    """

    name = "crop"
    first_order = False

    def __init__(
        self, min_scale: float = 0.08, max_scale: float = 1.0, max_ratio: float = 4 / 3
    ) -> None:
        check_range("crop", min_scale, max_scale, (1e-4, 1), "of the area")
        check_range("crop's aspect ratio", 1, max_ratio, (1, 10), "")
        log_ratio = math.log(max_ratio)
        self.parameters = (
            Parameter("scale", "fraction of the area", min_scale, max_scale, 1.0),
            Parameter("log_ratio", "natural logarithm", -log_ratio, log_ratio, 0.0),
            Parameter("x", "fraction of the width", 0.0, 1.0, 0.5),
            Parameter("y", "fraction of the height", 0.0, 1.0, 0.5),
        )

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Boxes in the image, drawn as `torchvision.transforms.RandomResizedCrop` draws them.

        Uniform scale and log ratio, redrawn up to ten times until the box fits (then: ratio 1);
        a uniform place among all where it lies in the image.
        """
        tries = torch.stack([super(Crop, self).sample(n, generator) for _ in range(TRIES)])
        fits = tries[..., 1].abs() <= -tries[..., 0].log()
        rows = tries[fits.int().argmax(0), torch.arange(n)]
        rows[:, 1] *= fits.any(0)
        size = torch.stack(_sides(rows), 1)
        rows[:, 2:] = size / 2 + (1 - size) * rows[:, 2:]
        return rows

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        """Crops `x` (B, 3, H, W) by `params` (B, 4); differentiable in both.

        Reads across the edge of the box, and repeats the pixels at the edge of the image.
        """
        clean = working(x)
        rows = params.to(clean.dtype)
        width, height = _sides(rows)
        columns = _positions(x.shape[-1], width, rows[:, 2])[:, None].expand(-1, x.shape[-2], -1)
        lines = _positions(x.shape[-2], height, rows[:, 3])[:, :, None].expand_as(columns)
        grid = torch.stack([columns, lines], -1)
        y = F.grid_sample(clean, grid, padding_mode="border", align_corners=False).clamp(0, 1)
        return restore(clean, y, ~self.acts(params)).to(x.dtype)


def _sides(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Width and height (B,) of the boxes `rows` (B, 4), as fractions of the image's."""
    scale, ratio = rows[:, 0], rows[:, 1].exp()
    return (scale * ratio).sqrt(), (scale / ratio).sqrt()


def _positions(n: int, side: Tensor, centre: Tensor) -> Tensor:
    """Where `n` pixels read, (B, n), from -1 to 1 over the image: their centres in the box."""
    pixels = torch.arange(n, device=side.device, dtype=side.dtype)
    return side[:, None] * ((2 * pixels + 1) / n - 1) + (2 * centre - 1)[:, None]
