"""Every command that may take long says how far it is, and how much is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from audioinv.base import progress
from audioinv.cli import main
from audioinv.data import fitting


@pytest.mark.parametrize(
    ("command", "words", "told"),
    [
        ("statistics", ["statistics={new}/statistics.json"], ["statistics"]),
        (
            "adapt",
            ["out={new}", "tasks=[label]", "adapt.epochs=2", "adapt.modes=[search,soft,paper]"],
            [
                *("adapting", "features", "evidence", "kernels", "evidence of mixtures"),
                "descriptor by gradient",
            ],
        ),
        (
            "adapt",
            [
                "out={new}",
                "tasks=[label]",
                "adapt.epochs=2",
                "adapt.true_steps=2",
                "adapt.batch_size=8",
                "adapt.modes=[surrogate,search:validation]",
            ],
            ["surrogate", "descriptor by surrogate", "descriptor by gradient", "validation"],
        ),
        ("measure", ["out={new}"], ["measuring"]),
    ],
)
def test_a_command_tells_how_much_is_left(
    finished: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    command: str,
    words: list[str],
    told: list[str],
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", -1.0)
    monkeypatch.setattr(fitting, "BATCH", 16)
    given = [word.format(new=tmp_path) for word in words]
    with caplog.at_level("INFO"):
        assert main([command, *finished.settings(), *given]) == 0
    for what in told:
        lines = [line for line in caplog.messages if line.startswith(f"{what}: ")]
        assert lines and all(" left" in line for line in lines), what


@pytest.mark.parametrize(
    ("protocol", "words", "told"),
    [
        ("finetune", ["finetune.epochs=2"], ["evaluating", "fine-tuning"]),
        ("averaging", ["averaging.draws=[1,2]"], ["averaging"]),
        ("robustness", ["robustness.strengths=[0,1]"], ["robustness"]),
    ],
)
def test_a_protocol_tells_how_much_is_left(
    finished: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    protocol: str,
    words: list[str],
    told: list[str],
) -> None:
    modes = ["tasks=[label]", "adapt.modes=[fixed:all,search]", f"out={tmp_path}"]
    assert main(["adapt", *finished.settings(), *modes]) == 0
    monkeypatch.setattr(progress, "LINE_EVERY_S", -1.0)
    with caplog.at_level("INFO"):
        given = [*modes, f"protocol={protocol}", *words]
        assert main(["evaluate", *finished.settings(), *given]) == 0
    for what in told:
        lines = [line for line in caplog.messages if line.startswith(f"{what}: ")]
        assert lines and all(" left" in line for line in lines), what
