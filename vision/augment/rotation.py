"""Rotation about the centre of the image."""

from __future__ import annotations

from kornia.geometry.transform import rotate
from torch import Tensor

from audioinv.core.augmentation import Augmentation, Parameter, check_range, restore, working


class Rotation(Augmentation):
    """Turns the image; what comes in from outside is its mirror image.

    Black corners would show the angle to whoever looks at nothing else; a mirror image has the
    colours and textures of the rest.

    Args:
        min_degrees, max_degrees: what `sample` draws from, within -180 to 180; positive is
            counter-clockwise.

    Raises:
        UserError: a range that is not allowed.
    """

    name = "rotation"
    first_order = False

    def __init__(self, min_degrees: float = -30.0, max_degrees: float = 30.0) -> None:
        check_range("rotation", min_degrees, max_degrees, (-180, 180), "degrees")
        self.parameters = (Parameter("angle", "degrees", min_degrees, max_degrees, 0.0),)

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        """Turns `x` (B, 3, H, W) by `params` (B, 1) degrees; differentiable in both."""
        clean = working(x)
        angle = params[:, 0].to(clean.dtype)
        turned = rotate(clean, angle, padding_mode="reflection", align_corners=False).clamp(0, 1)
        return restore(clean, turned, ~self.acts(params)).to(x.dtype)
