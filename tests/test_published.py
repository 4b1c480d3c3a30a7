"""Values of the published pipelines, computed with the code of their authors (docs/faithful.md)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from audioinv import augment as sounds
from audioinv.commands.compose import compose_config
from audioinv.core.auxiliary import quantities
from audioinv.core.fewshot import EPOCHS, RATE, PublishedFewShotConfig, split_classes
from audioinv.core.objectives import moco_v3, nt_xent
from audioinv.core.projector import EMBEDDING
from vision import augment as images


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


# --- baselines ------------------------------------------------------------------------------------


def test_augself_predicts_quantities_alone() -> None:
    """Ten of the fifteen parameters of sounds; of the images' seventeen all but the flip."""
    assert [p.name for p in quantities(sounds.build_bank(16000))] == [
        "semitones", "rate", "shift", "fade_in", "fade_out", "start", "length", "snr_db",
        "snr_db", "decay",
    ]  # fmt: skip
    told = [p.name for p in quantities(images.build_bank())]
    assert len(told) == 16 and "flip" not in told


def test_equimod_and_cassle_as_released() -> None:
    weights = {"pretrain.predict_weight": 1.0, "pretrain.predict_temperature": 0.2}
    hold(["method=equimod"], {"pretrain.predict": "embeddings", **weights})
    hold(["method=cassle"], {"pretrain.projector": "parameters"})
    assert EMBEDDING == [64] * 6


# --- few-shot -------------------------------------------------------------------------------------


def test_the_released_few_shot_protocol() -> None:
    published = {"n_way": 5, "k_shot": 1, "n_query": 1, "n_tasks": 10000, "readouts": ["sgd"]}
    hold([], {f"fewshot_published.{key}": value for key, value in published.items()})
    assert (EPOCHS, RATE) == (20, 0.1)
    shares = PublishedFewShotConfig().class_split
    assert [len(part) for part in split_classes(50, shares, 0)] == [35, 5, 10], "of ESC-50"
