"""Colour jitter: brightness, contrast, saturation and hue."""

from __future__ import annotations

from kornia.enhance import (
    adjust_brightness_accumulative,
    adjust_contrast_with_mean_subtraction,
    adjust_saturation_with_gray_subtraction,
)
from torch import Tensor

from audioinv.core.augmentation import Augmentation, Parameter, check_range, restore, working
from vision.augment.hue import shift_hue


class ColourJitter(Augmentation):
    """Scales brightness, contrast and saturation and shifts the hue, as torchvision defines them.

    Brightness blends the image with black, contrast with its mean grey level, saturation with its
    grey image; a factor of 1 is the image, 0 what it is blended with. Values are cut to [0, 1]
    after each step. The order is fixed to the one above (torchvision draws it), so that the
    parameters say everything.

    Args:
        brightness, contrast, saturation: strengths s, 0 to 1: factors are drawn from 1 - s to
            1 + s. The defaults of all four are those of MoCo-v3 and of the paper.
        hue: shifts are drawn from -hue to hue, in turns of the colour circle, 0 to 0.5.

    Raises:
        UserError: a strength that is not allowed.
    """

    name = "colour_jitter"

    def __init__(
        self,
        brightness: float = 0.4,
        contrast: float = 0.4,
        saturation: float = 0.2,
        hue: float = 0.1,
    ) -> None:
        strengths = {"brightness": brightness, "contrast": contrast, "saturation": saturation}
        for name, strength in strengths.items():
            check_range(f"colour_jitter's {name}", 0, strength, (0, 1), "around 1")
        check_range("colour_jitter's hue", 0, hue, (0, 0.5), "turns")
        factors = [Parameter(k, "factor", 1 - s, 1 + s, 1.0) for k, s in strengths.items()]
        self.parameters = (*factors, Parameter("hue", "turns", -hue, hue, 0.0))

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        """Changes the colours of `x` (B, 3, H, W) by `params` (B, 4); differentiable in both."""
        clean = working(x)
        brightness, contrast, saturation, hue = params.to(clean.dtype).unbind(1)
        y = adjust_brightness_accumulative(clean, brightness)
        y = adjust_contrast_with_mean_subtraction(y, contrast)
        y = adjust_saturation_with_gray_subtraction(y, saturation)
        y = shift_hue(y, hue)
        return restore(clean, y, ~self.acts(params)).to(x.dtype)
