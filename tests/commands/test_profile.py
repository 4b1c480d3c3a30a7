"""`audioinv profile` times the parts of a step and leaves nothing but what it was asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from lightning.fabric import Fabric

from audioinv.cli import main
from audioinv.training import profile as profiling
from audioinv.training.loop import PretrainConfig
from audioinv.training.profile import PARTS, Stopwatch, summary


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
        assert value["ms"] > 0 and 0 < value["share"] < 1
    assert sum(value["share"] for value in found["parts"].values()) == pytest.approx(1, abs=1e-3)
    assert found["hardware"] and found["command"].startswith("audioinv ")
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
    """A stand-in for the loop whose data take most of the time."""
    clock = Clock(monkeypatch)

    class Slow:
        frontend: Any = None

        def batch(self) -> None:
            clock.work(3)

        def views(self) -> None:
            clock.work(1)

        def register_forward_pre_hook(self, hook: Any) -> None: ...

        def register_forward_hook(self, hook: Any) -> None: ...

    def loop(encoder: Any, bank: Any, clips: Any, config: Any, *others: Any) -> None:
        for _ in range(config.steps):
            clips.batch()
            bank.views()
            others[-1](0, 0.0, 0.0)

    monkeypatch.setattr(profiling, "pretrain", loop)
    parts: Any = [Slow() for _ in range(3)]
    parts[0].frontend = Slow()
    found = profiling.profile(*parts, PretrainConfig(), Fabric(accelerator="cpu"), steps=3)
    assert found["steps"] == 3
    assert found["parts"]["data"] == {"ms": 3000, "share": 0.75}
    assert found["parts"]["augmentation"] == {"ms": 1000, "share": 0.25}
