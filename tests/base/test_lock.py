from __future__ import annotations

import multiprocessing
import os
import signal
import threading
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
