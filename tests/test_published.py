"""Values of the published pipelines, computed with the code of their authors (docs/faithful.md)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from audioinv.commands.compose import compose_config
from audioinv.core.adapt import AdaptConfig, Labelled, learn_jointly
from audioinv.core.features import FeatureCache
from audioinv.core.objectives import moco_v3, nt_xent
from tests.core.small_encoder import small_encoder, small_maps


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


# --- downstream adaptation ------------------------------------------------------------------------


def test_the_papers_downstream_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adam at .01 without weight decay moves i from .5 and a linear head, 16 clips at a time."""
    hold([], {"adapt.lr": 0.01, "adapt.batch_size": 16, "adapt.epochs": 100})
    hold(["experiment=paper_simclr_audio"], {"adapt.lr": 0.01, "adapt.epochs": 100})
    encoder, x = small_encoder(), small_maps(40)
    targets = torch.arange(40) % 2
    rows = torch.arange(40)
    data = Labelled(targets, "classification", ["-", "+"], rows[:32], rows[32:])
    features = FeatureCache(encoder, x, torch.empty(0))
    made: list[tuple[list[torch.Tensor], dict[str, Any]]] = []
    adam = torch.optim.Adam

    class Watched(adam):  # type: ignore[misc, valid-type]
        def __init__(self, params: list[torch.Tensor], **settings: Any) -> None:
            made.append((list(params), settings))
            super().__init__(made[-1][0], **settings)

    monkeypatch.setattr(torch.optim, "Adam", Watched)
    started = learn_jointly(encoder, features, data, AdaptConfig(epochs=0)).reported
    assert started.tolist() == [0.5, 0.5, 0.5]
    (descriptor, weight, bias), settings = made[0]
    assert descriptor.shape == (3,) and weight.shape == (2, encoder.dim) and bias.shape == (2,)
    assert settings == {"lr": 0.01}  # torch's Adam has no weight decay unless told
    moved = learn_jointly(encoder, features, data, AdaptConfig(epochs=1)).reported
    assert 0 < float((moved - 0.5).abs().max()) <= 2 * 0.01 + 1e-6  # two batches of 16
    far = learn_jointly(encoder, features, data, AdaptConfig(epochs=3, lr=0.8)).reported
    assert bool(((far >= 0) & (far <= 1)).all())
