"""A small conditioned encoder with BatchNorm, whose running statistics fit no descriptor."""

from __future__ import annotations

import torch
from torch import Tensor

from audioinv.base.randomness import generator, seeded
from audioinv.core.descriptor import DescriptorSpace
from audioinv.core.encoder import AmortisedEncoder
from tests.core.plain_frontend import PlainFrontend

SPACE = DescriptorSpace.single(["a", "b", "c"], min_active=0)


def small_encoder() -> AmortisedEncoder:
    """Of K = 3, in evaluation mode."""
    options = {"layers": [1, 1, 1, 1], "stem_type": "deep", "stem_width": 4}
    backbone = {"name": "resnet18", "width": 0.125, "dim": 5, "options": options}
    with seeded(0, "encoder"):
        encoder = AmortisedEncoder(PlainFrontend((1, 12, 10)), backbone, {"name": "hyper"}, SPACE)
    encoder.calibrate([small_maps(64, "others")])
    return encoder


def small_maps(n: int, name: str = "maps") -> Tensor:
    """Maps (n, 1, 12, 10) for it."""
    return torch.randn(n, 1, 12, 10, generator=generator(0, name))
