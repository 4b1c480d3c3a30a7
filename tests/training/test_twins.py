"""Twins in a whole run: which clips a step reads, and that the run is as repeatable as any."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.core.bank import AugmentationBank
from audioinv.training.state import checkpoints
from tests.core.small_pretraining import (
    Clips,
    equal,
    interrupt_after,
    logged,
    make_bank,
    make_encoder,
    settings,
    train,
)


def shared() -> AugmentationBank:
    bank = make_bank()
    return AugmentationBank(list(bank.augmentations.values()), bank.space, "shared")


class Recorded(Clips):
    """Remembers what was read of it."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[Tensor] = []

    def batch(self, *arguments: Any) -> Tensor:
        self.read.append(super().batch(*arguments))
        return self.read[-1]


def test_a_step_reads_clips_twice_but_at_all_on(tmp_path: Path) -> None:
    """With the very crop; nothing else of what it reads changes."""
    clips, usual = Recorded(), Recorded()
    train(tmp_path / "twins", settings(twins=0.25, log_every=1), bank=shared(), clips=clips)
    train(tmp_path / "usual", settings(log_every=1), bank=shared(), clips=usual)
    corners = [row["descriptor"] for row in logged(tmp_path / "twins")]
    assert corners == [row["descriptor"] for row in logged(tmp_path / "usual")]
    on = [min(corner) == 1 for corner in corners]
    assert any(on) and not all(on)
    for x, y, all_on in zip(clips.read, usual.read, on, strict=True):
        assert torch.equal(x[:6], y[:6])
        assert torch.equal(x[6:], y[6:] if all_on else x[:2])


OBJECTIVES: list[dict[str, Any]] = [
    {},
    {"accumulate": 2, "read_ahead": 2},
    {"groups": 2},
    {"objective": "moco_v2", "queue_size": 16, "momentum": 0.8},
    {"objective": "moco_v3", "momentum": 0.8},
]


@pytest.mark.parametrize("changed", OBJECTIVES, ids=lambda changed: "-".join(map(str, changed)))
def test_a_run_with_twins_resumes_bit_for_bit(tmp_path: Path, changed: dict[str, Any]) -> None:
    config = settings(twins=0.5, steps=6, **changed)
    whole = train(tmp_path / "whole", config, bank=shared())
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", config, bank=shared(), progress=interrupt_after(4))
    assert equal(train(tmp_path / "run", config, make_encoder(99), bank=shared()), whole)
    ends = [checkpoints(tmp_path / n / "checkpoints")[-1].read_bytes() for n in ("whole", "run")]
    assert ends[0] == ends[1]
    assert not equal(train(tmp_path / "none", settings(steps=6, **changed), bank=shared()), whole)


def test_the_twins_of_a_group_are_of_its_clips(tmp_path: Path) -> None:
    clips, usual = Recorded(), Recorded()
    config = settings(twins=0.5, groups=2, log_every=1)
    train(tmp_path / "twins", config, bank=shared(), clips=clips)
    train(tmp_path / "usual", replace(config, twins=0.0), bank=shared(), clips=usual)
    corners = [corner for row in logged(tmp_path / "twins") for corner in row["descriptor"]]
    for x, y, corner in zip(clips.read, usual.read, corners, strict=True):
        assert torch.equal(x, y if min(corner) == 1 else y[[0, 1, 0, 1]])


def test_where_all_is_on_twins_are_off(tmp_path: Path) -> None:
    runs = [
        train(tmp_path / str(twins), settings(corners="all", twins=twins), bank=shared())
        for twins in (0.0, 0.5)
    ]
    assert equal(*runs)


@pytest.mark.parametrize(
    ("changed", "told"),
    [({"twins": 0.6}, "0.6.*to 0.5"), ({"twins": 0.5, "descriptors": "per_process"}, "=same")],
)
def test_settings_that_cannot_work_are_explained(
    tmp_path: Path, changed: dict[str, Any], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        train(tmp_path, settings(**changed), bank=shared())
    with pytest.raises(UserError, match=r"inactive is identity.*inactive=shared"):
        train(tmp_path, settings(twins=0.5))
    assert not (tmp_path / "checkpoints").exists()
