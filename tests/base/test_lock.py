from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from audioinv.base.errors import UserError
from audioinv.base.lock import locked
from audioinv.training.signals import stop_signals

FORK: Any = multiprocessing.get_context("fork")


def hold(folder: Path, held: Any) -> None:
    with locked(folder):
        held.set()
        signal.pause()


@pytest.fixture
def holder(tmp_path: Path) -> Any:
    """Another process, which holds `tmp_path`/run."""
    held = FORK.Event()
    process = FORK.Process(target=hold, args=(tmp_path / "run", held), daemon=True)
    process.start()
    assert held.wait(30)
    yield process
    process.kill()


def test_a_second_process_is_refused_and_told_by_whom(holder: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"run is in use by process {holder.pid} on .* since .*\("):
        locked(tmp_path / "run").__enter__()


def test_the_lock_of_a_killed_process_is_no_obstacle(holder: Any, tmp_path: Path) -> None:
    holder.kill()
    holder.join()
    left = tmp_path / "run" / ".lock"
    assert f"process {holder.pid} " in left.read_text()
    with locked(tmp_path / "run"):
        assert f"process {os.getpid()} " in left.read_text()
        assert left.read_text().count("\n") == 1
    assert not left.exists()


def test_a_lock_is_released_however_the_work_ends(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="x"), locked(tmp_path):
        raise ValueError("x")
    with locked(tmp_path), pytest.raises(UserError, match="in use"):
        locked(tmp_path).__enter__()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_its_holder_removes_meanwhile_is_not_trusted(tmp_path: Path) -> None:
    """Opened before the holder removed it, locked after: a lock on a file nobody else sees."""
    for _ in range(50):
        errors: list[BaseException] = []
        inside: list[int] = []

        def work(errors: list[BaseException] = errors, inside: list[int] = inside) -> None:
            try:
                with locked(tmp_path):
                    inside.append(1)
                    assert len(inside) == 1
                    inside.pop()
            except UserError:
                pass
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []


def test_a_folder_that_cannot_be_locked(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot lock"):
        locked(tmp_path / "file").__enter__()


def test_a_file_system_without_locks_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def flock(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr(fcntl, "flock", flock)
    with locked(tmp_path / "run"):
        assert f"process {os.getpid()} " in (tmp_path / "run" / ".lock").read_text()
    assert str(tmp_path / "run") in caplog.text
    assert list((tmp_path / "run").iterdir()) == []


def hold_and_fork(folder: Path, child: Any) -> None:
    with locked(folder):
        if pid := os.fork():
            child.value = pid
        signal.pause()


def test_a_child_does_not_keep_the_lock_of_its_killed_parent(tmp_path: Path) -> None:
    child = FORK.Value("i", 0)
    holder = FORK.Process(target=hold_and_fork, args=(tmp_path, child), daemon=True)
    holder.start()
    while child.value == 0:
        time.sleep(0.01)
    try:
        with pytest.raises(UserError, match=str(holder.pid)):
            locked(tmp_path).__enter__()
        holder.kill()
        holder.join()
        with locked(tmp_path):
            os.kill(child.value, 0)  # it lives
    finally:
        os.kill(child.value, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_is_noted_and_its_handler_put_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stop_signals() as came:
        assert not came()
        os.kill(os.getpid(), number)
        assert came()
    assert signal.getsignal(number) is before


def test_other_threads_get_no_signals() -> None:
    seen: list[bool] = []

    def work() -> None:
        with stop_signals() as came:
            seen.append(came())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
