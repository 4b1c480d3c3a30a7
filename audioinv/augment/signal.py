"""What several augmentations share: levels, range checks, exact identity."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from audioinv.core.errors import UserError


def check_range(
    name: str, low: float, high: float, allowed: tuple[float, float], unit: str
) -> None:
    """Checks the range that an augmentation draws from.

    Raises:
        UserError: not `allowed[0] <= low <= high <= allowed[1]`, or a value that is not finite.
    """
    bottom, top = allowed
    if not (math.isfinite(low) and math.isfinite(high) and bottom <= low <= high <= top):
        raise UserError(
            f"{name} ranges from {low} to {high} {unit}; "
            f"give two numbers in rising order between {bottom} and {top}"
        )


def check_sample_rate(sample_rate: int) -> None:
    """Raises UserError unless `sample_rate` is a positive number of Hz."""
    if not sample_rate > 0:
        raise UserError(f"sample_rate is {sample_rate}; give a positive number of Hz")


def working(x: Tensor) -> Tensor:
    """`x` in at least single precision, which Fourier transforms need."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def rms(x: Tensor) -> Tensor:
    """Root mean square (B, 1) of `x` (B, T); of silence it is about 1e-19, with gradient 0."""
    tiny = torch.finfo(x.dtype).tiny
    return x.square().mean(-1, keepdim=True).clamp_min(tiny).sqrt()


def restore(x: Tensor, y: Tensor, rows: Tensor) -> Tensor:
    """`y` (B, T) with the values of `x` (B, T) where `rows` (B, 1) is true.

    Gradients stay those of `y`: an example at the identity is returned unchanged and still tells
    how it would change with the parameter.
    """
    return torch.where(rows, y + (x - y).detach(), y)
