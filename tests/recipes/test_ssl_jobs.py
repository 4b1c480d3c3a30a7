"""The driver's runs: how many at once, on which GPU, and how they end."""

from __future__ import annotations

import signal
import subprocess
import time
from functools import partial
from pathlib import Path

import pytest

from tests.recipes.driver import Driver


def test_every_seed_and_method_is_run_once_by_parallel_jobs(driver: Driver) -> None:
    options = ["--seeds", "0 1 2", "--methods", "amortised simclr", "--jobs", "3"]
    result = driver(*options, "--stage", "4", "--stop_stage", "pretrain", "--threads", "2")
    assert result.returncode == 0, result.stderr
    runs = sorted(call.overrides()["run"] for call in driver.calls())
    assert runs == [f"exp/debug/{m}_s{s}" for m in ("amortised", "simclr") for s in range(3)]
    for call in driver.calls():
        read = call.overrides()
        assert read["run"] == f"exp/debug/{read['method']}_s{read['seed']}"
        assert (call.threads, call.gpu) == ("2", "")
        log = driver.recipe / "exp/debug/log" / f"pretrain_{Path(read['run']).name}.log"
        assert "fake pretrain finished" in log.read_text()


def test_no_more_than_jobs_runs_go_on_at_once(driver: Driver) -> None:
    options = ["--stage", "4", "--jobs", "2", "--methods", "a b c d"]
    environment = {**driver.environment, "FAKE_HANGS_ON": "pretrain"}
    with subprocess.Popen(
        driver.command(*options), cwd=driver.folder, env=environment, stderr=subprocess.PIPE
    ) as process:
        wait_until(lambda: len(driver.calls()) == 2)
        time.sleep(0.5)
        assert len(driver.calls()) == 2
        process.terminate()
        process.communicate(timeout=20)


def test_gpus_are_taken_in_turn(driver: Driver) -> None:
    options = ["--stage", "4", "--stop_stage", "4", "--methods", "a b c", "--jobs", "1"]
    assert driver(*options, "--ngpu", "2", CUDA_VISIBLE_DEVICES="5,7,9").returncode == 0
    assert [call.gpu for call in driver.calls()] == ["5", "7", "5"]
    result = driver(*options, "--ngpu", "2", CUDA_VISIBLE_DEVICES="5")
    assert result.returncode == 2
    assert "'5'" in result.stderr


def test_failing_run_fails_the_driver_with_the_tail_of_its_log(driver: Driver) -> None:
    options = ["--stage", "4", "--methods", "amortised simclr random", "--jobs", "1"]
    result = driver(*options, FAKE_FAILS_ON="method=simclr")
    assert result.returncode == 3
    assert "pretrain_simclr_s0: failed" in result.stderr
    assert "the loss is not finite" in result.stderr
    assert "stage 4 (pretrain)" in result.stderr.splitlines()[-1]
    assert driver.subcommands() == ["pretrain", "pretrain"]  # neither random nor a later stage


def test_failing_run_ends_the_others(driver: Driver) -> None:
    options = ["--stage", "4", "--methods", "amortised simclr", "--jobs", "2"]
    result = driver(*options, FAKE_HANGS_ON="method=amortised", FAKE_FAILS_ON="method=simclr")
    assert result.returncode == 3
    wait_until(lambda: not any(alive(pid) for pid in driver.hanging()))


def test_failing_single_command_fails_the_driver(driver: Driver) -> None:
    result = driver(FAKE_FAILS_ON="validate")
    assert result.returncode == 3
    assert "stage 2 (pack)" in result.stderr.splitlines()[-1]
    assert driver.subcommands() == ["download", "prepare", "validate"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_the_driver_ends_its_runs(driver: Driver, number: signal.Signals) -> None:
    options = ["--stage", "4", "--methods", "amortised simclr"]
    environment = {**driver.environment, "FAKE_HANGS_ON": "pretrain"}
    with subprocess.Popen(
        driver.command(*options), cwd=driver.folder, env=environment, stderr=subprocess.PIPE,
        preexec_fn=partial(signal.signal, number, signal.SIG_DFL),  # a shell's "&" ignores SIGINT
    ) as process:  # fmt: skip
        wait_until(lambda: len(driver.hanging()) == 2)
        assert all(alive(pid) for pid in driver.hanging())
        process.send_signal(number)
        process.communicate(timeout=20)
    assert process.returncode == 128 + number
    wait_until(lambda: not any(alive(pid) for pid in driver.hanging()))


def alive(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    try:
        return state.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(true: object, seconds: float = 15) -> None:
    assert callable(true)
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
