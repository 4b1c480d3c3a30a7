"""Values of the published pipelines, computed with the code of their authors (docs/faithful.md)."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from sklearn.metrics import r2_score

from audioinv.commands.compose import compose_config
from audioinv.conf.schema import ConditioningConfig
from audioinv.core.adapt import score
from audioinv.core.bank import AugmentationBank
from audioinv.core.objectives import moco_v3, nt_xent
from audioinv.core.randomness import generator
from vision.augment import build_bank


def hold(config: list[str], published: dict[str, Any]) -> None:
    """Compares a composed configuration with what was published: dotted key -> value."""
    composed = OmegaConf.create(vars(compose_config(config)), flags={"allow_objects": True})
    ours = {key: OmegaConf.select(composed, key) for key in published}
    assert ours == published


def rows() -> tuple[torch.Tensor, torch.Tensor]:
    k = torch.arange(12, dtype=torch.float64).view(3, 4)
    return k.sin(), (k + 0.5).cos()


# --- contrast -------------------------------------------------------------------------------------


def test_nt_xent() -> None:
    a, b = rows()
    assert float(nt_xent(a, b, 0.5)) == pytest.approx(3.022317147185454, abs=1e-12)


def test_moco_v3() -> None:
    a, b = rows()
    loss = moco_v3(a, b, b.flip(0), 2 * a, 0.2)
    assert float(loss) == pytest.approx(1.7728435614439235, abs=1e-12)


# --- amortised encoders of images -----------------------------------------------------------------

RESNET = {
    "backbone.name": "resnet50",
    "backbone.stem": "stock",
    "backbone.pool": "global",
    "backbone.dim": 0,
    "frontend.image_size": 224,
    "conditioning": {**vars(ConditioningConfig()), "bases": 32, "embedding": 16, "start": "paper"},
    "bank.inactive": "identity",
    "bank.probability": 1.0,
    "bank.ranges": {},
    "pretrain.corners": "space",
    "pretrain.steps": 300 * (126_689 // 128),
    "pretrain.batch_size": 128,
    "pretrain.optimiser": "adam",
    "pretrain.lr": 5e-4,
    "pretrain.weight_decay": 2e-5,
    "pretrain.warmup_steps": 0,
    "pretrain.temperature": 0.1,
    "pretrain.projector": "per_descriptor",
    "pretrain.projector_layers": 2,
    "pretrain.projector_hidden": 2048,
    "pretrain.projector_dim": 128,
    "pretrain.projector_batch_norm": False,
    "pretrain.projector_norm": False,
    "pretrain.dropout": 0.2,
}
DOWNSTREAM = {
    "adapt.modes": ["paper", "fixed:all"],
    "adapt.lr": 0.01,
    "adapt.epochs": 100,
    "adapt.batch_size": 16,
    "adapt.rounding": False,
}
SPATIAL = ["crop", "horizontal_flip"]
APPEARANCE = ["colour_jitter", "grayscale", "blur", "solarise"]
ACTING = {"colour_jitter": 0.8, "grayscale": 0.2, "blur": 0.5, "solarise": 0.5}
TWO_GROUPS = {
    "bank.groups": {"spatial": SPATIAL, "appearance": APPEARANCE},
    "bank.min_active": 1,
    "bank.probabilities": {"all": ACTING, "appearance": {"solarise": 0.5}},
}


def image_bank(experiment: str) -> AugmentationBank:
    return build_bank(**asdict(compose_config(["modality=image", f"experiment={experiment}"]).bank))


def test_paper_simclr_image() -> None:
    single = {
        "bank.groups": {name: [name] for name in ("crop", *APPEARANCE)},
        "bank.min_active": 2,
        "bank.probabilities": {"every": ACTING},
        "pretrain.objective": "simclr",
    }
    hold(["modality=image", "experiment=paper_simclr_image"], {**RESNET, **DOWNSTREAM, **single})


def test_paper_moco_v2_image() -> None:
    own = {
        "pretrain.objective": "moco_v2",
        "pretrain.momentum": 0.99,
        "pretrain.queue_size": 65_536,
    }
    config = ["modality=image", "experiment=paper_moco_v2_image"]
    hold(config, {**RESNET, **DOWNSTREAM, **TWO_GROUPS, **own})


def test_paper_moco_v3_image() -> None:
    own = {
        "backbone.name": "vit_base_patch16_224",
        "backbone.pool": "token",
        "backbone.dim": 0,
        "frontend.image_size": 224,
        "conditioning.name": "prompt",
        "conditioning.mlps": 256,
        "conditioning.signed": False,
        "conditioning.start": "paper",
        "init_weights": "vit-b-300ep.pth.tar",
        "pretrain.objective": "moco_v3",
        "pretrain.corners": "space",
        "pretrain.steps": 300 * (1_281_167 // 1024),
        "pretrain.warmup_steps": 40 * (1_281_167 // 1024),
        "pretrain.batch_size": 1024,
        "pretrain.optimiser": "adam",
        "pretrain.lr": 1.5e-4 * 1024 / 256,
        "pretrain.weight_decay": 0.1,
        "pretrain.temperature": 0.2,
        "pretrain.momentum": 0.99,
        "pretrain.projector": "per_descriptor",
        "pretrain.projector_layers": 3,
        "pretrain.projector_hidden": 4096,
        "pretrain.projector_dim": 256,
        "pretrain.projector_batch_norm": True,
        "pretrain.dropout": 0.0,
    }
    config = ["modality=image", "experiment=paper_moco_v3_image"]
    hold(config, {**DOWNSTREAM, **TWO_GROUPS, **own})


@pytest.mark.parametrize("experiment", ["paper_simclr_image", "paper_moco_v2_image"])
def test_ranges_of_the_image_augmentations(experiment: str) -> None:
    bank = image_bank(experiment)
    ranges = {
        name: [(p.low, p.high) for p in bank.augmentations[name].parameters]
        for name in ("crop", *APPEARANCE)
    }
    assert ranges["crop"][0] == (0.08, 1.0)
    assert ranges["crop"][1] == pytest.approx((-math.log(4 / 3), math.log(4 / 3)))
    expected = [(0.6, 1.4), (0.6, 1.4), (0.8, 1.2), (-0.1, 0.1)]
    for ours, theirs in zip(ranges["colour_jitter"], expected, strict=True):
        assert ours == pytest.approx(theirs)
    assert (ranges["blur"], ranges["solarise"]) == ([(0.1, 2.0)], [(0.5, 0.5)])


def test_corners_of_the_image_experiments() -> None:
    assert len(image_bank("paper_simclr_image").space.corners) == 2**5 - 5 - 1
    assert image_bank("paper_moco_v2_image").space.corners.tolist() == [[0, 1], [1, 0], [1, 1]]


@pytest.mark.parametrize(
    ("experiment", "corner", "grey"),
    [
        ("paper_simclr_image", "all", 0.2),
        ("paper_simclr_image", "crop+grayscale", 0.2),
        ("paper_simclr_image", "-grayscale", 0.0),
        ("paper_moco_v2_image", "all", 0.2),
        ("paper_moco_v2_image", "appearance", 1.0),
    ],
)
def test_share_of_grey_images(experiment: str, corner: str, grey: float) -> None:
    """Among drawn views of coloured images."""
    bank = image_bank(experiment)
    x = torch.rand(1200, 3, 1, 1, generator=generator(0, "colours")).expand(-1, -1, 12, 12)
    views, _ = bank.views(x, bank.space.parse(corner), generator(0, "views"))
    for view in views:
        colour = (view.amax(1) - view.amin(1)).amax((1, 2))
        assert float((colour < 1e-4).float().mean()) == pytest.approx(grey, abs=0.035)


def test_the_mean_face_alone_nearly_reaches_the_released_r2() -> None:
    """On outputs and targets of length 1, flattened; by ours, per value, the mean is worth 0."""
    draw = generator(0, "faces")
    mean = 0.2 + 0.6 * torch.rand(68, 2, generator=draw)
    faces = (mean + 0.012 * torch.randn(500, 68, 2, generator=draw)).flatten(1)
    told = faces.mean(0).expand_as(faces)
    theirs = r2_score(F.normalize(faces).flatten(), F.normalize(told).flatten())
    assert theirs == pytest.approx(0.995, abs=0.003)
    assert score(told, faces, "regression") == pytest.approx(0.0, abs=1e-4)
