"""The backbones that image configs name, built."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch

from audioinv.commands.compose import compose_config
from audioinv.core.backbone import build_backbone
from audioinv.core.encoder import AmortisedEncoder
from vision.augment import build_bank
from vision.frontend import Pixels


def test_the_tiny_vit_takes_small_images_and_a_prompt() -> None:
    config = compose_config(["modality=image", "backbone=vit_tiny_cifar", "conditioning=prompt"])
    parts = asdict(config.backbone), asdict(config.conditioning)
    encoder = AmortisedEncoder(Pixels(32), *parts, build_bank(names=["crop", "blur"]).space)
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    on, off = (encoder(x, torch.tensor(i)) for i in ([1.0, 1.0], [1.0, 0.0]))
    assert on.shape == (2, 192) and not torch.allclose(on, off, atol=1e-3)
    assert len(encoder.backbone.trunk.blocks) == 6


@pytest.mark.parametrize(
    ("overrides", "dim", "heads"),
    [
        (["backbone=vit_small"], 384, 6),
        (["backbone=vit_small", "+backbone.options.num_heads=12"], 384, 12),
        (["backbone=vit_base"], 768, 12),
    ],
)
def test_the_other_vits_are_stock(overrides: list[str], dim: int, heads: int) -> None:
    options = asdict(compose_config(["modality=image", *overrides]).backbone)
    with torch.device("meta"):
        vit = build_backbone(input_size=(3, 224, 224), **options)
    assert (vit.dim, vit.trunk.blocks[0].attn.num_heads) == (dim, heads)
    assert vit.trunk.patch_embed.grid_size == (14, 14)
