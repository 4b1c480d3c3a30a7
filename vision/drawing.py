"""Spirograph: images of hypotrochoids that are differentiable in every factor of variation.

Foster, Pukdee and Rainforth, "Improving Transformation Invariance in Contrastive Representation
Learning", ICLR 2021 (arXiv 2010.09515), whose second data set this is. A wheel of radius b rolls in
a circle of radius a, its pen h from its centre, with a = m + b - h:

    x(t) = (a - b) cos t + h cos(t (a - b) / b)
    y(t) = (a - b) sin t - h sin(t (a - b) / b),    40 points t in [0, 2 pi]

The weight of a pixel at p, the mean over t of exp(-||p - (x, y)||^2 / sigma), is scaled to a
maximum of 1 in every column of constant x, as the released generator does, and blends the
foreground colour into the background. So columns that the curve only comes near to are as bright as
those that it crosses.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.data.factors import Factor
from vision.frontend import Pixels

POINTS = 40
EXTENT = 6.0  # the image shows [-6, 6] x [-6, 6]
FAINTEST = 1e-8  # columns of less weight than about this stay background
DRAWING = 2
"""Counts the generators: 1 scaled the whole image to a maximum of 1, 2 is the published one."""

FACTORS: dict[str, Factor] = {
    factor.name: factor
    for factor in (
        Factor("m", "pixels' unit", 2.0, 5.0, 3.5),
        Factor("b", "pixels' unit", 0.1, 1.1, 0.6, least=0.02),
        Factor("h", "pixels' unit", 0.5, 2.5, 1.5),
        Factor("sigma", "pixels' unit squared", 0.25, 1.0, 0.625, least=0.05),
        *(
            Factor(f"foreground_{colour}", "0 to 1", 0.4, 1.0, 0.7, least=0.0, most=1.0)
            for colour in ("red", "green", "blue")
        ),
        *(
            Factor(f"background_{colour}", "0 to 1", 0.0, 0.6, 0.3, least=0.0, most=1.0)
            for colour in ("red", "green", "blue")
        ),
    )
}

TARGETS = ("m", "b", "sigma", "foreground_red")
"""What the paper predicts; the other six are its nuisances."""


def render(factors: Tensor, image_size: int = 32) -> Tensor:
    """Images (n, 3, image_size, image_size) in [0, 1] of the dtype and on the device of `factors`.

    Differentiable in every factor, twice too.

    Args:
        factors: (n, 10), columns in the order of `FACTORS`. Values outside their ranges are drawn
            as the equations say.

    Raises:
        UserError: another number of columns.
    """
    if factors.ndim != 2 or factors.shape[1] != len(FACTORS):
        raise UserError(
            f"factors are (n, {len(FACTORS)}): {', '.join(FACTORS)}; got {tuple(factors.shape)}"
        )
    m, b, h, sigma = factors[:, :4, None].unbind(1)
    weight = pixel_weights(*curve(m, b, h), sigma, image_size)[:, None]
    foreground, background = factors[:, 4:7, None, None], factors[:, 7:10, None, None]
    return weight * foreground + (1 - weight) * background


def curve(m: Tensor, b: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """The points x and y, (n, POINTS) each, of `m`, `b` and `h` (n, 1)."""
    t = torch.linspace(0, 2 * math.pi, POINTS, dtype=m.dtype, device=m.device)
    arm = m - h  # a - b
    turn = t * arm / b
    return arm * t.cos() + h * turn.cos(), arm * t.sin() - h * turn.sin()


def pixel_weights(x: Tensor, y: Tensor, sigma: Tensor, image_size: int) -> Tensor:
    """Weights (n, rows, columns), 1 at the highest of each column; rows go with y, columns with x.

    The Gaussian of a squared distance is the product of one of its x and one of its y part, so the
    mean over the points is a matrix product.
    """
    grid = torch.linspace(-EXTENT, EXTENT, image_size, dtype=x.dtype, device=x.device)
    along_x, along_y = (
        torch.exp(-((grid - place[..., None]) ** 2) / sigma[..., None]) for place in (x, y)
    )
    weight = along_y.transpose(1, 2) @ along_x / POINTS
    return weight / (weight.amax(1, keepdim=True) + FAINTEST)


class Spirograph(Pixels):
    """Factors (B, 10) -> normalised images (B, 3, image_size, image_size).

    Args:
        image_size: height and width in pixels.
        drawing: which generator the images are of. Encoders and settings that do not say are of
            before there was a second: 1.

    Raises:
        UserError: `image_size` below 1, or a generator that is not there any more.
    """

    name = "spirograph"

    def __init__(self, image_size: int = 32, drawing: int = 1) -> None:
        super().__init__(image_size)
        if drawing != DRAWING:
            raise UserError(
                f"frontend.drawing is {drawing}; give {DRAWING}, the published generator. Encoders "
                "of an earlier one saw other images: pre-train anew"
            )
        self.config["drawing"] = drawing

    def forward(self, x: Tensor) -> Tensor:
        """Draws factors `x` (B, 10) and takes the statistics away; differentiable in `x`."""
        return super().forward(render(x, self.output_size[1]))

    def fit_statistics(self, batches: Iterable[Tensor]) -> dict[str, list[float]]:
        """Statistics of the images that `batches` of factors draw."""
        return super().fit_statistics(render(x, self.output_size[1]) for x in batches)
