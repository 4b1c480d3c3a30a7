"""Pre-training in one call: what a user may give it, what is left in its folder, how it goes on."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import audioinv as ai
from audioinv.base.errors import UserError
from audioinv.base.lock import locked
from audioinv.base.randomness import seeded
from audioinv.core.bank import AugmentationBank
from audioinv.core.encoder import AmortisedEncoder
from audioinv.core.objective import Objective, Shown
from audioinv.training.calibrate import calibrate
from audioinv.training.signals import Stopped
from audioinv.training.start import pretrain
from audioinv.training.state import checkpoints
from tests.core.small_pretraining import (
    Clips,
    equal,
    logged,
    make_bank,
    make_encoder,
    settings,
    train,
)

SMALL: dict[str, Any] = {
    "steps": 9, "batch_size": 8, "warmup_steps": 2, "checkpoint_every": 4, "log_every": 2,
    "projector_hidden": 16, "projector_dim": 8, "device": "cpu",
}  # fmt: skip


def begin(run: Path, encoder: AmortisedEncoder | None = None, **changed: Any) -> AmortisedEncoder:
    options = {**SMALL, **changed}
    clips = options.pop("clips", Clips())
    return pretrain(encoder or make_encoder(), make_bank(), clips, run, **options)


def test_one_call_is_the_loop_and_a_saved_encoder(tmp_path: Path) -> None:
    encoder = make_encoder()
    assert begin(tmp_path / "run", encoder) is encoder and not encoder.training
    alone = train(tmp_path / "loop", settings())
    assert encoder.is_calibrated and not alone.is_calibrated
    calibrate(alone, Clips())
    assert equal(encoder, alone)
    described = json.loads((tmp_path / "run/encoder/encoder.json").read_text())
    assert described["info"] == {"seed": 0, "steps": 9, "audioinv": ai.__version__}
    assert not (tmp_path / "run/.lock").exists()
    assert not equal(begin(tmp_path / "other", seed=1), encoder)


def test_a_tensor_is_enough(tmp_path: Path) -> None:
    class Plain(Clips):
        def batch(self, indices: Tensor, *others: Any) -> Tensor:
            return self.x[indices]

    of_tensor = begin(tmp_path / "tensor", clips=Plain().x, steps=3)
    assert equal(of_tensor, begin(tmp_path / "source", clips=Plain(), steps=3))


def test_a_stopped_run_goes_on(tmp_path: Path) -> None:
    class Killing(Clips):
        asked = 0

        def batch(self, *arguments: Any) -> Tensor:
            self.asked += 1
            if self.asked == 6:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().batch(*arguments)

    with pytest.raises(Stopped, match="after step 6 of 9"):
        begin(tmp_path / "run", clips=Killing())
    assert not (tmp_path / "run/encoder").exists()
    begin(tmp_path / "run", make_encoder(99))
    begin(tmp_path / "whole")
    ends = [checkpoints(tmp_path / run / "checkpoints")[-1] for run in ("run", "whole")]
    assert ends[0].read_bytes() == ends[1].read_bytes()
    files = [tmp_path / run / "encoder/encoder.safetensors" for run in ("run", "whole")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_finished_run_gives_its_weights_without_training(tmp_path: Path) -> None:
    whole = begin(tmp_path)
    for path in checkpoints(tmp_path / "checkpoints"):
        path.unlink()
    again = begin(tmp_path, make_encoder(99))
    assert equal(again, whole) and not again.training
    assert not checkpoints(tmp_path / "checkpoints")


def test_an_untrained_encoder_is_a_baseline(tmp_path: Path) -> None:
    untrained = make_encoder()
    calibrate(untrained, Clips())
    assert equal(begin(tmp_path, trained=False), untrained)
    assert (tmp_path / "encoder/encoder.json").exists()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"lr": 0.5}, r"lr: 0\.002 -> 0\.5"),
        ({"seed": 3}, "seed: 0 -> 3"),
        ({"objective": "moco_v3"}, "objective: simclr -> moco_v3"),
    ],
)
def test_another_run_in_the_folder_is_refused(
    tmp_path: Path, changed: dict[str, Any], told: str
) -> None:
    begin(tmp_path, steps=1)
    with pytest.raises(UserError, match=told):
        begin(tmp_path, **{"steps": 1, **changed})
    begin(tmp_path, steps=1, read_ahead=1)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"step": 3}, "no setting step; it has steps, "),
        ({"device": "abacus"}, "accelerator=abacus"),
        ({"objective": "byol"}, "'byol'; give one of simclr"),
        ({"objective": lambda encoder, bank: encoder}, "AmortisedEncoder.*audioinv.Objective"),
        ({"clips": [1, 2]}, "clips are a list; give a pack, a tensor"),
        ({"clips": Clips().x[:0]}, "0 training clips .* mark some train in the manifest's split"),
        ({"clips": Clips().x[:3]}, "3 training clips cannot fill a batch of 8"),
    ],
)
def test_what_cannot_work_is_explained(tmp_path: Path, changed: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        begin(tmp_path, **changed)


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(UserError, match="in use"):
        begin(tmp_path)


class Distance(Objective):
    """The documented protocol: a bank for the views, a forward for named losses."""

    def __init__(self, encoder: AmortisedEncoder, bank: AugmentationBank) -> None:
        super().__init__(bank)
        self.encoder = encoder
        self.head = nn.Linear(12, 3)
        self.followed: list[float] = []

    def forward(self, shown: Shown, corner: Tensor) -> dict[str, Tensor]:
        first, second = (self.head(self.encoder(view, corner)) for view in shown.views)
        size = (self.together(first).norm(dim=1) - 1).square().mean()
        return {"distance": (first - second).square().mean(), "size": size}

    def follow(self, corner: Tensor, progress: float) -> None:
        self.followed.append(progress)


def test_a_loss_of_ones_own_is_trained_logged_and_resumed(tmp_path: Path) -> None:
    made: list[Distance] = []

    def make(encoder: AmortisedEncoder, bank: AugmentationBank) -> Distance:
        made.append(Distance(encoder, bank))
        return made[-1]

    whole = begin(tmp_path / "whole", objective=make, log_every=1)
    rows = logged(tmp_path / "whole")
    assert made[0].followed == [(step + 1) / 9 for step in range(9)]
    assert all(row["loss"] == pytest.approx(row["distance"] + row["size"]) for row in rows)
    assert rows[-1]["loss"] < rows[0]["loss"] and not equal(whole, make_encoder())
    with seeded(0, "projector"):
        head = nn.Linear(12, 3)
    state = torch.load(checkpoints(tmp_path / "whole/checkpoints")[-1], weights_only=True)["model"]
    assert not torch.equal(state["head.weight"], head.weight)

    class Broken(Clips):
        def batch(self, indices: Tensor, *others: Any) -> Tensor:
            Broken.asked = getattr(Broken, "asked", 0) + 1
            if Broken.asked == 6:
                raise KeyboardInterrupt
            return super().batch(indices, *others)

    with pytest.raises(KeyboardInterrupt):
        begin(tmp_path / "run", objective=make, log_every=1, clips=Broken())
    again = begin(tmp_path / "run", make_encoder(99), objective=make, log_every=1)
    assert equal(again, whole)


def test_losses_without_names_are_refused(tmp_path: Path) -> None:
    class Nameless(Distance):
        def forward(self, shown: Shown, corner: Tensor) -> Any:
            return super().forward(shown, corner)["size"]

    with pytest.raises(UserError, match=r"Nameless gives Tensor; .* name -> scalar"):
        begin(tmp_path, objective=Nameless)


def test_an_objective_without_a_forward_says_so() -> None:
    with pytest.raises(NotImplementedError, match=r"Objective needs forward\(shown, corner\)"):
        Objective(make_bank())(Shown((), ({}, {})), torch.ones(2))
