"""Gaussian blur."""

from __future__ import annotations

import math

from kornia.filters import filter2d_separable, get_gaussian_kernel1d
from torch import Tensor

from audioinv.core.augmentation import Augmentation, Parameter, check_range, restore, working

REACH = 4  # standard deviations to either side of the kernel; what is left out is below 1e-4


class Blur(Augmentation):
    """Convolves the image with a Gaussian; the image is mirrored at its edges.

    Args:
        min_sigma, max_sigma: the standard deviation that `sample` draws from, in pixels, 0 to 50.
            The default is the paper's, for images of 224 pixels. The kernel reaches 4 times
            `max_sigma` to either side, or as far as the image.

    Raises:
        UserError: a range that is not allowed.
    """

    name = "blur"

    def __init__(self, min_sigma: float = 0.1, max_sigma: float = 2.0) -> None:
        check_range("blur", min_sigma, max_sigma, (0, 50), "pixels")
        self.reach = math.ceil(REACH * max_sigma)
        self.parameters = (Parameter("sigma", "pixels", min_sigma, max_sigma, 0.0),)

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        """Blurs `x` (B, 3, H, W) by `params` (B, 1) pixels; differentiable in both."""
        clean = working(x)
        sigma = params.to(clean.dtype)
        vertical, horizontal = (
            get_gaussian_kernel1d(2 * min(self.reach, side - 1) + 1, sigma) for side in x.shape[-2:]
        )
        blurred = filter2d_separable(clean, horizontal, vertical, "reflect").clamp(0, 1)
        return restore(clean, blurred, ~self.acts(params)).to(x.dtype)
