"""Pictures made by code."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

Pictures = Callable[..., Tensor]


@pytest.fixture(scope="session")
def pictures() -> Pictures:
    """The function `make`."""
    return make


def make(
    n: int, height: int, width: int, seed: int = 0, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Colourful pictures (n, 3, height, width) in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, 5, 5, generator=generator)
    smooth = F.interpolate(coarse, (height, width), mode="bicubic")
    fine = torch.rand(n, 3, height, width, generator=generator) - 0.5
    return (smooth + 0.2 * fine).clamp(0, 1).to(dtype)
