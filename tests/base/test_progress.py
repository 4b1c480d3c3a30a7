"""What is counted: lines in a log with what is left, bars on a terminal, one inside another."""

from __future__ import annotations

import io
import logging
import sys
import weakref
from typing import Any

import pytest
from rich.console import Console

from audioinv.base import progress
from audioinv.cli import AboveBars


def test_lines_say_how_much_is_done_and_left(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 20.0, 30.0, 40.0, 50.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with caplog.at_level("INFO"):
        assert list(progress.shown("abcd", "spelling", "letters")) == list("abcd")
    assert caplog.messages == [
        "spelling: 1 of 4 letters, about 60 s left",
        "spelling: 3 of 4 letters, about 13 s left",
    ]


def test_what_is_shown_is_let_go_of_when_it_is_done() -> None:
    class Thing:
        pass

    seen: list[weakref.ref[Thing]] = []
    for thing in progress.shown([Thing(), Thing(), Thing()], "things"):
        assert [ref() for ref in seen[:-1]] == [None] * len(seen[:-1])
        seen.append(weakref.ref(thing))
    assert len(seen) == 3


def test_bars_inside_bars_share_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    def terminal(**_: Any) -> Console:
        return Console(file=io.StringIO(), force_terminal=True)

    monkeypatch.setattr(progress, "Console", terminal)
    inner = []
    for _ in progress.shown("ab", "outer", "letters"):
        for _ in progress.shown("cd", "inner", "letters"):
            (bars,) = progress._open
            inner.append([task.description for task in bars.tasks])
    assert inner == [["outer", "inner"]] * 4 and progress._open == []


def test_log_lines_go_where_the_bars_put_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bars take over `sys.stderr`; a line that went past them would end up inside one."""
    handler = AboveBars()
    taken_over = io.StringIO()
    monkeypatch.setattr(sys, "stderr", taken_over)
    handler.emit(logging.makeLogRecord({"msg": "label, soft: done"}))
    assert taken_over.getvalue() == "label, soft: done\n"
