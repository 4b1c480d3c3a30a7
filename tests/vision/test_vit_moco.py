"""A prompted ViT pre-trained with MoCo-v3: the descriptor comes to matter, and `at` is exact."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from lightning.fabric import Fabric
from torch import Tensor

from audioinv.base.randomness import generator, seeded
from audioinv.core.bank import AugmentationBank
from audioinv.core.encoder import AmortisedEncoder
from audioinv.tasks.measure import measure_invariance
from audioinv.training.loop import PretrainConfig, pretrain
from vision.augment import build_bank
from vision.frontend import Pixels

SIZE = 16
VIT = {"patch_size": 4, "depth": 2, "embed_dim": 48, "num_heads": 3}


def blobs(n: int, seed: int) -> Tensor:
    """Smooth images (n, 3, 16, 16) of random colours."""
    coarse = torch.rand(n, 3, 4, 4, generator=generator(seed, "images"))
    return F.interpolate(coarse, size=SIZE, mode="bilinear", align_corners=False)


class Images:
    def __init__(self, x: Tensor) -> None:
        self.x = x

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, indices: Tensor, generator: torch.Generator, own: slice) -> Tensor:
        return self.x[indices[own]]


def make_encoder(conditioning: str) -> tuple[AmortisedEncoder, AugmentationBank]:
    ranges = {"crop": {"min_scale": 0.2}}
    bank = build_bank(names=["crop", "colour_jitter"], inactive="shared", ranges=ranges)
    options = {"name": "vit_tiny_patch16_224", "pool": "token", "dim": 0, "options": VIT}
    with seeded(0, "e"):
        encoder = AmortisedEncoder(
            Pixels(SIZE), options, {"name": conditioning, "signed": True}, bank.space
        )
    return encoder, bank


def train(conditioning: str, steps: int, run: Path) -> tuple[AmortisedEncoder, AugmentationBank]:
    encoder, bank = make_encoder(conditioning)
    x = blobs(1024, 0)
    encoder.frontend.fit([x])
    config = PretrainConfig(
        steps=steps, batch_size=64, lr=3e-3, warmup_steps=10, objective="moco_v3", momentum=0.9,
        projector_layers=3, projector_hidden=64, projector_dim=32,
    )  # fmt: skip
    fabric = Fabric(accelerator="cpu", devices=1)
    return pretrain(encoder, bank, Images(x), config, run, fabric), bank


def test_a_trained_prompt_is_the_same_written_into_a_plain_network(tmp_path: Path) -> None:
    encoder, bank = train("prompt", 4, tmp_path)
    x = blobs(8, 1)
    features = []
    for corner in bank.space.corners:
        features.append(encoder(x, corner))
        torch.testing.assert_close(encoder.at(corner)(x), features[-1], atol=1e-5, rtol=1e-5)
    assert all((a - b).norm() > 1e-3 * a.norm() for a, b in pairwise(features))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("conditioning", "low", "high"), [("prompt", 0.1, 1.0), ("none", -0.02, 0.02)]
)
def test_the_prompt_decides_whether_colour_is_kept(
    conditioning: str, low: float, high: float, tmp_path: Path
) -> None:
    """The gap of a network that cannot see the descriptor is the control."""
    encoder, bank = train(conditioning, 400, tmp_path)
    measured = measure_invariance(encoder, bank, blobs(200, 1), torch.empty(0))
    assert low <= measured["gap"]["colour_jitter"] <= high
