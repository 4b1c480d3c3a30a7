"""Values of the published pipelines, computed with the code of their authors (docs/faithful.md)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from audioinv.commands.compose import compose_config
from audioinv.core.objectives import moco_v3, nt_xent
from vision.spirograph import FACTORS, render


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


# --- InvCLR and Spirograph ------------------------------------------------------------------------


def test_spirograph() -> None:
    told = {"m": 3.1, "b": 0.6, "h": 1.2, "sigma": 0.5}
    colours = (1, 0.9, 0.8, 0, 0.1, 0.2)
    assert list(FACTORS)[:4] == list(told)
    factors = torch.tensor([[*told.values(), *colours]], dtype=torch.float64)
    red = render(factors)[0, 0]
    assert float(red.sum()) == pytest.approx(166.8949, abs=1e-4)
    assert int((red > 0.5).sum()) == 167
