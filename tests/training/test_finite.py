"""Losses and gradients that are not finite: the run stops, or skips them without a trace."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from lightning.fabric import Fabric
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.training.loop import pretrain
from audioinv.training.order import draw_corner
from audioinv.training.state import checkpoints
from tests.core.small_pretraining import (
    Clips,
    logged,
    make_bank,
    make_encoder,
    settings,
    train,
)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    bank = make_bank(bomb=True)
    config = settings(checkpoint_every=1, steps=50)
    corners = [draw_corner(bank, config, 1, step) for step in range(50)]
    first = next(step for step, corner in enumerate(corners) if corner[1] == 1)
    assert first > 0  # of seed 1
    fabric = Fabric(accelerator="cpu", devices=1)
    with pytest.raises(UserError) as caught:
        pretrain(make_encoder(), bank, Clips(), config, tmp_path, fabric, 1)
    message = str(caught.value)
    assert "the loss is nan" in message and f"at step {first} " in message
    assert f"descriptor {bank.space.label(corners[first])}" in message
    assert f"step_{first:08d}.pt" in message and "pretrain.lr" in message


def test_a_loss_that_is_never_finite_has_no_checkpoint_to_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none was written"):
        train(tmp_path, settings(corners="other"), bank=make_bank(bomb=True))


def test_steps_that_are_not_finite_may_be_skipped(tmp_path: Path) -> None:
    """They leave nothing behind: not in the weights, nor in what BatchNorm remembers."""
    config = settings(not_finite="skip", steps=12, log_every=1, skip_limit=5)
    bank = make_bank(bomb=True)
    bad = [bool(draw_corner(bank, config, 0, step)[1]) for step in range(12)]
    assert 3 < sum(bad) < 10
    encoder = make_encoder()
    before = int(encoder.backbone.trunk.bn1.num_batches_tracked)
    train(tmp_path, config, encoder, bank)
    assert all(value.isfinite().all() for value in encoder.state_dict().values())
    assert int(encoder.backbone.trunk.bn1.num_batches_tracked) == before + 12 - sum(bad)
    assert [("loss" not in row) for row in logged(tmp_path)] == bad
    with pytest.raises(UserError, match=r"loss is nan at step .*\(1 steps before it were skipped"):
        train(tmp_path / "strict", settings(not_finite="skip", steps=12, skip_limit=1), bank=bank)


@pytest.mark.parametrize("policy", ["stop", "skip"])
def test_a_gradient_that_is_not_finite(tmp_path: Path, policy: str) -> None:
    """Skipped, or found before a checkpoint of broken weights is written."""
    config = settings(not_finite=policy, checkpoint_every=1, log_every=1, log_gradient_norm=True)
    encoder, calls = make_encoder(), []

    def spoil(gradient: Tensor) -> Tensor:
        calls.append(1)
        return gradient * (math.inf if len(calls) == 5 else 1)

    next(encoder.parameters()).register_hook(spoil)
    if policy == "stop":
        with pytest.raises(
            UserError, match=r"a weight is not finite at step 4 .*step_00000004\.pt"
        ):
            train(tmp_path, config, encoder)
        assert len(checkpoints(tmp_path / "checkpoints")) == 2
        return
    train(tmp_path, config, encoder)
    assert all(p.isfinite().all() for p in encoder.parameters())
    assert [("gradient_norm" in row) for row in logged(tmp_path)] == [k != 4 for k in range(9)]
