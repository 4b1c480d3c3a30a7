"""Grayscale."""

from __future__ import annotations

from kornia.color import rgb_to_grayscale
from torch import Tensor

from audioinv.core.augmentation import Augmentation, Parameter, check_range, working


class Grayscale(Augmentation):
    """Blends the image with its grey image, 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601).

    Args:
        min_amount, max_amount: what `sample` draws from, 0 (colours kept) to 1 (grey). By default
            always 1: how many images turn grey is the bank's `probability`.

    Raises:
        UserError: a range that is not allowed.
    """

    name = "grayscale"

    def __init__(self, min_amount: float = 1.0, max_amount: float = 1.0) -> None:
        check_range("grayscale", min_amount, max_amount, (0, 1), "of the colour")
        self.parameters = (
            Parameter("amount", "fraction of the colour", min_amount, max_amount, 0.0),
        )

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        """Turns `x` (B, 3, H, W) grey by `params` (B, 1); differentiable in both."""
        clean = working(x)
        amount = params.to(clean.dtype).view(-1, 1, 1, 1)
        grey = rgb_to_grayscale(clean).expand_as(clean)
        return clean.lerp(grey, amount.expand_as(clean)).clamp(0, 1).to(x.dtype)
