"""Trackers: what they are handed, by modules that stand in for them."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from audioinv.base.errors import UserError
from audioinv.base.files import read_json
from audioinv.training.config import LogConfig
from audioinv.training.trackers import Tracker, check_tracker


class Pretend(ModuleType):
    """A client that keeps what it is told."""

    def __init__(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(name)
        self.told: list[Any] = []
        monkeypatch.setitem(sys.modules, name, self)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def tell(*values: Any, **named: Any) -> Any:
            self.told.append((name, *values, named))
            return SimpleNamespace(info=SimpleNamespace(run_id="r1"))

        return tell


@pytest.mark.parametrize(("name", "end"), [("wandb", "finish"), ("trackio", "finish")])
def test_a_run_that_goes_on_is_the_same_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, end: str
) -> None:
    client = Pretend(name, monkeypatch)
    check_tracker(LogConfig(name))
    for step in (1, 2):
        tracker = Tracker(tmp_path, LogConfig(name, "mine"))
        tracker.log({"loss": 0.5}, step)
        tracker.end()
    first, *rest = client.told[:3]
    assert first[0] == "init" and first[1]["project"] == "mine" and first[1]["resume"] == "allow"
    assert rest == [("log", {"loss": 0.5}, {"step": 1}), (end, {})]
    assert client.told[3] == first
    id = read_json(tmp_path / "tracker.json")[name]
    assert id in (first[1].get("id"), first[1]["name"].rpartition("-")[2])


def test_mlflow_is_given_the_run_it_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Pretend("mlflow", monkeypatch)
    for _ in range(2):
        tracker = Tracker(tmp_path, LogConfig("mlflow"))
        tracker.log({"loss": 0.5}, 4)
        tracker.end()
    assert client.told[1] == ("start_run", {"run_name": tmp_path.name})
    assert client.told[2:4] == [("log_metrics", {"loss": 0.5}, {"step": 4}), ("end_run", {})]
    assert client.told[5] == ("start_run", {"run_id": "r1"})


def test_one_that_fails_does_not_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = Pretend("wandb", monkeypatch)
    tracker = Tracker(tmp_path, LogConfig("wandb"))

    def fail(*_: Any, **__: Any) -> None:
        raise ConnectionError("no network")

    client.__dict__["log"] = fail
    tracker.log({"loss": 1.0}, 1)
    tracker.log({"loss": 1.0}, 2)
    tracker.end()
    assert caplog.text.count("wandb fails (no network); the run goes on without it") == 1


def test_what_is_not_there_is_said_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match="not installed: pip install wandb"):
        check_tracker(LogConfig("wandb"))
    with pytest.raises(UserError, match=r"log\.to is 'wandbb'"):
        check_tracker(LogConfig("wandbb"))


def test_none_writes_nothing(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path, LogConfig("none"))
    tracker.log({"loss": 1.0}, 1)
    tracker.end()
    assert list(tmp_path.iterdir()) == []
