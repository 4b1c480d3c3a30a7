"""What a week brings: memory that must not grow, disks that fill up, clocks that are set."""

from __future__ import annotations

import errno
import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from audioinv.cli import main
from audioinv.training import log as metrics_log
from audioinv.training import start

pytestmark = pytest.mark.faults
STEPS = 2000


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.timeout(1200)
def test_memory_stays_flat_over_2000_steps(
    packed: Any, launch: Callable[..., Any], tmp_path: Path
) -> None:
    seen = tmp_path / "resident"

    @contextmanager
    def recording(steps: int, name: str) -> Iterator[Callable[..., None]]:
        with open(seen, "w", buffering=1) as file:
            yield lambda step, loss, lr: print(step, resident_bytes(), file=file)

    settings = [
        *packed.settings(tmp_path / "run"), f"pretrain.steps={STEPS}", "pretrain.batch_size=4",
        "pretrain.checkpoint_every=100", "pretrain.log_every=5", "pretrain.log_gradient_norm=true",
    ]  # fmt: skip
    child = launch(["pretrain", *settings], lambda: setattr(start, "training_progress", recording))
    assert child.end(1100) == 0, child.said()
    resident = [int(line.split()[1]) for line in seen.read_text().splitlines()]
    assert len(resident) == STEPS
    early, late = median(resident[400:600]), median(resident[-200:])
    print(f"\nresident memory: {early / 1e6:.1f} MB at step 500, {late / 1e6:.1f} MB at step 2000")
    assert abs(late / early - 1) < 0.02


class FullDisk:
    """Counts writes (every file is flushed or renamed, every metrics line opened) and fails one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = 0
        self.fatal = 0
        for owner, name in ((os, "fsync"), (os, "replace")):
            monkeypatch.setattr(owner, name, self.wrapped(getattr(owner, name)))
        monkeypatch.setattr(metrics_log, "open", self.wrapped(open), raising=False)

    def wrapped(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def write(*arguments: Any, **named: Any) -> Any:
            self.calls += 1
            if self.calls == self.fatal:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return function(*arguments, **named)

        return write

    def fail_at(self, number: int) -> None:
        self.calls, self.fatal = 0, number


WRITING: dict[str, list[str]] = {
    "prepare": [],
    "pack": [],
    "statistics": [],
    "pretrain": ["pretrain.steps=4"],
    "adapt": ["adapt.modes=[fixed:all,soft]"],
    "measure": [],
    "embed": [],
    "export": [],
}


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", WRITING)
def test_a_disk_that_is_full_at_any_write(
    finished: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, counted: Counter[str], name: str,
) -> None:  # fmt: skip
    """One line, status 2, no half file; and once there is room, the same command does it all."""
    disk = FullDisk(monkeypatch)

    def arguments(folder: Path) -> list[str]:
        """The command with its results in `folder`, on what `finished` has."""
        if name in ("adapt", "measure", "embed", "export") and not folder.exists():
            shutil.copytree(finished.run / "encoder", folder / "encoder")
            shutil.copy(finished.run / "config.yaml", folder)
        given = [str(word) for word in finished.commands()[name]]
        if name in ("prepare", "pack", "embed", "export"):
            out = "out.pt2" if name == "export" else "out"
            given[given.index("--out") + 1] = str(folder / out)
        more = [f"run={folder}", f"statistics={folder / 's.json'}" if name == "statistics" else ""]
        more = [*more, *WRITING[name]] if "run=" in " ".join(given) else []
        return [name, *given, *(word for word in more if word)]

    disk.fail_at(0)
    assert main(arguments(tmp_path / "whole")) == 0
    writes = disk.calls
    assert writes > 0
    for number in range(1, writes + 1):
        folder = tmp_path / f"full_{number}"
        given = arguments(folder)
        disk.fail_at(number)
        capsys.readouterr()
        assert main(given) == 2
        said = capsys.readouterr().err
        (line,) = [line for line in said.splitlines() if line.startswith(f"audioinv {name}: ")]
        assert "No space left" in line or "disk full" in line, line
        assert "Traceback" not in said
        assert not list(tmp_path.rglob("*.tmp"))
        disk.fail_at(0)
        assert main(given) == 0
        assert names(folder) == names(tmp_path / "whole")
        shutil.rmtree(folder)
        counted["full disks survived"] += 1


def names(folder: Path) -> list[str]:
    """Files in `folder`; TensorBoard's are named by time and process."""
    found = (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in found if not name.startswith("tensorboard"))


def test_a_clock_that_jumps_changes_nothing(
    finished: Any, launch: Callable[..., Any], tmp_path: Path, counted: Counter[str]
) -> None:
    def jumping() -> None:
        draw, now = random.Random(0), time.time
        time.time = lambda: now() + draw.uniform(-1e6, 1e6)

    runs = [tmp_path / "true", tmp_path / "jumping"]
    for run, before in zip(runs, (lambda: None, jumping), strict=True):
        for name, more in (("pretrain", []), ("adapt", ["adapt.modes=[soft]"])):
            child = launch([name, *finished.settings(run), *more], before)
            assert child.end() == 0, child.said()
    for file in ("encoder/encoder.safetensors", "tasks/label/soft/adapted.safetensors"):
        true, jumped = ((run / file).read_bytes() for run in runs)
        assert true == jumped
    counted["clock jumps survived"] += 1
