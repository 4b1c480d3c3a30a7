"""Hue shift alone: every colour turns on the colour circle by the same angle."""

from __future__ import annotations

import math

from kornia.enhance import adjust_hue
from torch import Tensor

from audioinv.core.augmentation import Augmentation, Parameter, check_range, restore, working


class Hue(Augmentation):
    """Shifts the hue; greys stay what they are.

    Args:
        min_turns, max_turns: what `sample` draws from, in turns of the colour circle, within -0.5
            to 0.5; a third of a turn makes red green, and 0.5 the complementary colour.

    Raises:
        UserError: a range that is not allowed.
    """

    name = "hue"

    def __init__(self, min_turns: float = -0.25, max_turns: float = 0.25) -> None:
        check_range("hue", min_turns, max_turns, (-0.5, 0.5), "turns")
        self.parameters = (Parameter("shift", "turns", min_turns, max_turns, 0.0),)

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        """Shifts `x` (B, 3, H, W) by `params` (B, 1) turns; differentiable in both."""
        clean = working(x)
        y = shift_hue(clean, params[:, 0].to(clean.dtype))
        return restore(clean, y, ~self.acts(params)).to(x.dtype)


def shift_hue(x: Tensor, turns: Tensor) -> Tensor:
    """`x` (B, 3, H, W) with its HSV hue shifted by `turns` (B,)."""
    return adjust_hue(x, 2 * math.pi * turns)
