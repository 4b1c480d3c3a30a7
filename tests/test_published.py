"""Values of the published pipelines, computed with the code of their authors (docs/faithful.md)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from audioinv.commands.compose import compose_config
from audioinv.core.objectives import moco_v3, nt_xent
from audioinv.core.pretrain import learning_rate
from audioinv.core.probes import fit_readout
from vision.spirograph import FACTORS, render


def hold(config: list[str], published: dict[str, Any], config_dir: str | None = None) -> None:
    """Compares a composed configuration with what was published: dotted key -> value."""
    told = vars(compose_config(config, config_dir))
    composed = OmegaConf.create(told, flags={"allow_objects": True})
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


# --- InvCLR and Spirograph ------------------------------------------------------------------------


SPIROGRAPH = ["modality=spirograph", "experiment=paper_invclr_spirograph", "method=invclr"]
SPIROGRAPH_CONF = str(Path(__file__).parents[1] / "recipes" / "spirograph" / "ssl1" / "conf")


def test_spirograph() -> None:
    told = {"m": 3.1, "b": 0.6, "h": 1.2, "sigma": 0.5}
    colours = (1, 0.9, 0.8, 0, 0.1, 0.2)
    assert list(FACTORS)[:4] == list(told)
    factors = torch.tensor([[*told.values(), *colours]], dtype=torch.float64)
    red = render(factors)[0, 0]
    assert float(red.sum()) == pytest.approx(166.8949, abs=1e-4)
    assert int((red > 0.5).sum()) == 167


INVCLR = {
    "method": "invclr",
    "conditioning.name": "none",
    "backbone.stem": "cifar",
    "backbone.width": 1.0,
    "backbone.dim": 0,
    "backbone.pool": "global",
    "backbone.options": {"zero_init_last": False},
    "pretrain.objective": "simclr",
    "pretrain.corners": "all",
    "pretrain.batch_size": 512,
    "pretrain.optimiser": "lars",
    "pretrain.lr": 1.5 * 512 / 256,
    "pretrain.weight_decay": 1e-6,
    "pretrain.schedule": "cosine_from_start",
    "pretrain.temperature": 0.5,
    "pretrain.projector": "shared",
    "pretrain.projector_layers": 2,
    "pretrain.projector_dim": 128,
    "pretrain.projector_norm": True,
    "features.calibration_clips": 0,
}


@pytest.mark.parametrize("corpus", ["cifar10", "cifar100"])
def test_invclr_on_cifar(corpus: str) -> None:
    per_epoch = 50_000 // 512
    published = {
        "backbone.name": "resnet50",
        "bank.names": ["crop", "horizontal_flip", "colour_jitter", "grayscale"],
        "bank.probabilities": {"all": {"colour_jitter": 0.8, "grayscale": 0.2}},
        "bank.ranges": {
            "colour_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}
        },
        "pretrain.steps": 1000 * per_epoch,
        "pretrain.warmup_steps": 10 * per_epoch,
        "pretrain.projector_hidden": 2048,
        "pretrain.penalty": 0.1,
        "pretrain.penalty_draws": 100,
        "pretrain.penalty_clamp": 1.0,
        "pretrain.penalty_longest": math.inf,
        "pretrain.penalty_on": ["colour_jitter"],
        "adapt.readout": "logistic",
        "adapt.l2": 1e-5,
        "averaging.draws": [1, 10, 30, 100],
    }
    words = ["modality=image", f"experiment=paper_invclr_{corpus}", "method=invclr"]
    hold(words, INVCLR | published)


def test_invclr_on_spirograph() -> None:
    per_epoch = 100_000 // 512
    own = {"penalty": 0.01, "penalty_draws": 100, "penalty_clamp": 1000.0}
    colours = [f"background_{colour}" for colour in ("red", "green", "blue")]
    published = {
        "backbone.name": "resnet18",
        "bank.names": ["h", "foreground_green", "foreground_blue", *colours],
        "bank.probability": 1.0,
        "bank.ranges": {},
        "frontend.image_size": 32,
        "frontend.drawing": 2,
        "pretrain.steps": 50 * per_epoch,
        "pretrain.warmup_steps": 10 * per_epoch,
        "pretrain.projector_hidden": 512,
        "method_pretrain.invclr": {**own, "penalty_longest": math.inf},
        "adapt.l2": 1e-8,
    }
    hold(SPIROGRAPH, INVCLR | published, SPIROGRAPH_CONF)


def test_the_rate_of_invclr_on_spirograph() -> None:
    """After ten of 50 epochs, the warm-up's; it never reaches 3."""
    told = compose_config(SPIROGRAPH, SPIROGRAPH_CONF).pretrain
    rates = [learning_rate(told, step) for step in range(told.steps)]
    assert rates[told.warmup_steps] == pytest.approx(2.71353, abs=1e-5)
    assert max(rates) < 2.77


def test_the_readout_of_invclr() -> None:
    """The gradient of their criterion, the mean over images and values + l2 |W|^2, is zero."""
    x = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
    y = x[:, :4] @ torch.ones(4, 4).triu() + x[:, 4:] ** 2
    readout = fit_readout(x, y, "regression", [], l2=0.1)
    z, weight = (x - readout.mean) / readout.std, readout.weight.clone().requires_grad_()
    loss = torch.nn.functional.mse_loss(z @ weight.T + readout.bias, y)
    (gradient,) = torch.autograd.grad(loss + 0.1 * weight.pow(2).sum(), weight)
    assert float(gradient.abs().max()) < 1e-5 < float(readout.weight.abs().min())
