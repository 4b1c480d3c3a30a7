"""`audioinv profile` times the parts of a step and leaves nothing but what it was asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric import Fabric
from torch import Tensor

from audioinv.cli import main
from audioinv.core.bank import AugmentationBank
from audioinv.training import profile as profiling
from audioinv.training.loop import pretrain
from audioinv.training.profile import PARTS, Stopwatch, summary
from tests.core.small_pretraining import Clips, Gain, equal, make_bank, make_encoder, settings


def test_table_and_json_of_the_users_own_settings(
    packed: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(packed.folder.rglob("*"))
    out = tmp_path / "profile.json"
    assert main(["profile", "--steps", "3", "--out", str(out), *packed.settings()]) == 0
    printed = capsys.readouterr().out
    found = json.loads(out.read_text())
    assert list(found["parts"]) == list(PARTS) and found["steps"] == 3
    for part, value in found["parts"].items():
        assert f"| {part} | {value['ms']:.1f} | {value['share']:.1%} |" in printed
        assert value["ms"] > 0 and 0 <= value["share"] < 1
    assert sum(value["share"] for value in found["parts"].values()) == pytest.approx(1, abs=1e-3)
    assert found["hardware"] and found["command"].startswith("audioinv")
    assert sorted(packed.folder.rglob("*")) == before


def test_fused_views_are_timed_where_they_are_made(packed: Any, tmp_path: Path) -> None:
    """With the augmentations: maps are handed through by the front end, which takes no time."""
    out = tmp_path / "profile.json"
    arguments = ["--steps", "3", "--out", str(out), *packed.settings(), "frontend.views=fused"]
    assert main(["profile", *arguments]) == 0
    parts = json.loads(out.read_text())["parts"]
    assert parts["front end"]["ms"] < 0.05 * parts["augmentation"]["ms"]


def test_no_steps_are_refused(packed: Any, refuse: Callable[[Sequence[str]], str]) -> None:
    assert "steps is 0; give 1 or more" in refuse(["profile", "--steps", "0", *packed.settings()])


class Clock:
    """Stands still unless something works."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(profiling.time, "perf_counter", lambda: self.now)

    def work(self, seconds: float) -> None:
        self.now += seconds


def test_a_part_within_another_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    watch = Stopwatch(lambda: None)
    watch.begin("network")
    clock.work(2)
    watch.begin("front end")
    clock.work(5)
    watch.end()
    clock.work(1)
    watch.end()
    clock.work(2)
    watch.end_step()
    (step,) = watch.steps
    assert (step["network"], step["front end"], step["rest"], step["data"]) == (3, 5, 2, 0)
    found = summary(watch.steps)
    assert found["step_ms"] == 10_000 and found["parts"]["front end"]["share"] == 0.5


def test_what_is_slow_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real steps on a clock that only clips, bank and front end move."""
    clock = Clock(monkeypatch)

    class SlowClips(Clips):
        def batch(self, *arguments: Any) -> Tensor:
            clock.work(3)
            return super().batch(*arguments)

    class SlowGain(Gain):
        def apply(self, x: Tensor, params: Tensor) -> Tensor:
            clock.work(0.25)
            return super().apply(x, params)

    bank, encoder = make_bank(), make_encoder()
    bank = AugmentationBank([SlowGain("gain"), SlowGain("other")], bank.space)
    encoder.frontend.register_forward_hook(lambda *_: clock.work(1))
    fabric, config = Fabric(accelerator="cpu"), settings(corners="all", log_every=100)
    found = profiling.profile(encoder, bank, SlowClips(), config, fabric, steps=3)
    assert found["steps"] == 3 and found["step_ms"] == 5000
    parts = {part: value["ms"] for part, value in found["parts"].items() if value["ms"]}
    assert parts == {"data": 3000, "augmentation": 1000, "front end": 1000}
    assert found["parts"]["data"]["share"] == 0.6
    encoder(torch.zeros(2, 1, 16, 12), torch.ones(2))  # not timed any more


def test_a_timed_encoder_trains_as_ever(tmp_path: Path) -> None:
    watch = Stopwatch(lambda: None)
    fabric, timed = Fabric(accelerator="cpu"), make_encoder()
    pretrain(timed, make_bank(), Clips(), settings(), tmp_path / "a", fabric, watch=watch)
    plain = make_encoder()
    pretrain(plain, make_bank(), Clips(), settings(), tmp_path / "b", fabric)
    assert equal(timed, plain)
