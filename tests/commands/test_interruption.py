"""A real process, killed for real; and what it prints where there is no terminal."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from audioinv.cli import main
from audioinv.training import progress

COMMAND = [sys.executable, "-m", "audioinv.cli", "pretrain"]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.mark.slow
def test_a_killed_run_restarts_and_ends_with_the_same_weights(packed: Any, tmp_path: Path) -> None:
    longer = ["pretrain.steps=300", "pretrain.checkpoint_every=5"]
    run = tmp_path / "killed"
    killed = subprocess.Popen(
        [*COMMAND, *packed.settings(run), *longer], stderr=subprocess.DEVNULL, env=environment()
    )
    while not list(run.glob("checkpoints/step_*.pt")):
        assert killed.poll() is None, "it ended before its first checkpoint"
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not (run / "encoder").exists()
    last = max(int(path.stem[5:]) for path in run.glob("checkpoints/step_*.pt"))
    assert 0 < last < 300

    done = subprocess.run(
        [*COMMAND, *packed.settings(run), *longer],
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "" and "\x1b" not in done.stderr
    assert re.search(r"killed: step 300 of 300, loss \d", done.stderr)

    whole = tmp_path / "whole"
    assert main(["pretrain", *packed.settings(whole), *longer]) == 0
    files = [r / "encoder" / "encoder.safetensors" for r in (run, whole)]
    assert files[0].read_bytes() == files[1].read_bytes()
    rows = [
        [json.loads(line) for line in (r / "metrics.jsonl").read_text().splitlines()]
        for r in (run, whole)
    ]
    assert [row["step"] for row in rows[0]] == list(range(1, 301))
    assert [row["loss"] for row in rows[0]] == [row["loss"] for row in rows[1]]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_told_to_stop_has_written_its_last_step(
    packed: Any, tmp_path: Path, launch: Any, number: signal.Signals, status: int
) -> None:
    """Ctrl-C is one of those that tell it."""
    run = tmp_path / "run"
    long = ["pretrain.steps=100000", "pretrain.checkpoint_every=100000", "pretrain.log_every=1"]
    child = launch(["pretrain", *packed.settings(run), *long])
    while not (run / "metrics.jsonl").exists() or not (run / "metrics.jsonl").read_text():
        assert child.process.is_alive(), child.said()
        time.sleep(0.01)
    child.kill(number)
    assert child.end(60) == status
    (line,) = child.lines()
    stopped = re.search(r"stopped after step (\d+) of 100000, which is written", line)
    assert stopped and "the same command resumes" in line
    assert list((run / "checkpoints").iterdir()) == [
        run / "checkpoints" / f"step_{int(stopped[1]):08d}.pt"
    ]


def test_plain_progress_lines_where_there_is_no_terminal(
    packed: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", -1.0)
    with caplog.at_level("INFO"):
        assert main(["pretrain", *packed.settings(tmp_path / "tiny_s0")]) == 0
    lines = [line for line in caplog.messages if line.startswith("tiny_s0: step ")]
    assert len(lines) == 6
    for step, line in enumerate(lines, start=1):
        rest = "done" if step == 6 else r"about \d+ s left"
        assert re.fullmatch(
            rf"tiny_s0: step {step} of 6, loss \d+\.\d{{3}}, lr [\d.e-]+, {rest}", line
        )


def test_lines_come_now_and_then_and_at_the_end(
    packed: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        assert main(["pretrain", *packed.settings(tmp_path / "tiny_s0")]) == 0
    lines = [line for line in caplog.messages if line.startswith("tiny_s0: step ")]
    assert len(lines) == 1 and "step 6 of 6" in lines[0]
