"""`ai.pretrain` does not train on raw decibels without a word."""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import audioinv as ai
from audioinv.base.errors import UserError
from audioinv.base.randomness import seeded
from audioinv.training.signals import Stopped

RATE = 8000
SMALL: dict[str, Any] = {"steps": 4, "batch_size": 8, "checkpoint_every": 1, "device": "cpu"}


@pytest.fixture
def sounds() -> Tensor:
    return torch.rand(24, RATE // 4, generator=torch.Generator().manual_seed(0)) - 0.5


class Source:
    """The same clips, drawn by a class of one's own; it may ask to be stopped."""

    def __init__(self, x: Tensor, stop_at: int = -1) -> None:
        self.x, self.stop_at, self.asked = x, stop_at, 0

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, indices: Tensor, generator: torch.Generator, own: Any = ...) -> Tensor:
        self.asked += 1
        if self.asked == self.stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        return self.x[indices][own]


def trained(clips: Any, run: Path, front: str = "log_mel", **changed: Any) -> ai.Encoder:
    audio = ai.modality("audio")
    bank = audio.bank(RATE, names=["fade", "time_shift"])
    with seeded(0, "encoder"):
        options = {} if front == "waveform" else {"n_fft": 256, "hop": 128, "n_bins": 16}
        frontend = audio.frontend(front, sample_rate=RATE, clip_s=0.25, **options)
        network = {"name": "resnet10t", "width": 0.0625, "dim": 4}
        encoder = ai.Encoder(frontend, network, "norm", bank.space)
    return ai.pretrain(encoder, bank, clips, run, **{**SMALL, **changed})


@pytest.mark.parametrize("own", [False, True])
def test_a_front_end_without_statistics_takes_those_of_the_clips(
    sounds: Tensor, tmp_path: Path, own: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    front: Any = trained(Source(sounds) if own else sounds, tmp_path).frontend
    decibels = front.decibels(sounds)
    assert float(front.mean) == pytest.approx(float(decibels.mean()), abs=1e-3)
    assert float(front.std) == pytest.approx(float(decibels.std(correction=0)), abs=1e-3)
    assert caplog.text.count("the front end had no statistics") == 1


def test_statistics_that_are_there_or_not_wanted_are_left(
    sounds: Tensor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    plain: Any = trained(sounds, tmp_path / "raw", fit=False).frontend
    assert (float(plain.mean), float(plain.std)) == (0.0, 1.0)
    assert "no statistics" not in caplog.text


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda x: x[:0], "0 training clips"),
        (lambda x: x[0], r"float32 \(2000,\)"),
        (lambda x: x / 0, "finite"),
        (lambda x: (x * 1000).to(torch.int16), r"int16 .*\[-1, 1\]"),
        (lambda x: x[:, :50], "cannot take clips of size"),
        (lambda x: x * 0, "is all of the audio silent"),
    ],
)
def test_clips_that_cannot_be_learnt_from_are_told(
    sounds: Tensor, tmp_path: Path, change: Any, told: str
) -> None:
    with pytest.raises(UserError, match=told):
        trained(change(sounds), tmp_path)


def test_options_that_there_are_not_are_told_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"log_mel takes no sampel_rate \(did you mean sample_r"):
        ai.modality("audio").frontend("log_mel", sampel_rate=8000)
    for name in ("resnet18", "vit_tiny_patch16_224", "statistics"):
        with pytest.raises(UserError, match=f"{name} takes no wdith"):
            ai.backbone(name, (1, 16, 9), wdith=0.5)


def test_a_run_that_goes_on_keeps_its_own(sounds: Tensor, tmp_path: Path) -> None:
    whole = trained(Source(sounds), tmp_path / "whole")
    with pytest.raises(Stopped):
        trained(Source(sounds, stop_at=3), tmp_path / "run")
    again = trained(Source(sounds), tmp_path / "run")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
