"""Several processes of one run: one dies, hangs, or is told to stop; torchrun and SLURM."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from audioinv.commands import pretrain
from audioinv.training import resume
from audioinv.training.state import checkpoints

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(600)]
KILLS = 6
LONGER = [
    "pretrain.steps=40", "pretrain.checkpoint_every=4", "pretrain.batch_size=6",
    "pretrain.sync_batch_norm=true", "pretrain.projector=shared",
]  # fmt: skip


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def fabrics_own(rank: int, port: int) -> dict[str, str]:
    """What Fabric tells the processes that it starts itself."""
    return {
        "LOCAL_RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip


def slurms(rank: int, port: int) -> dict[str, str]:
    """What srun tells the two tasks of a job on two machines."""
    return {
        "SLURM_JOB_ID": "1", "SLURM_JOB_NAME": "audioinv", "SLURM_NTASKS": "2",
        "SLURM_NNODES": "2", "SLURM_PROCID": str(rank), "SLURM_NODEID": str(rank),
        "SLURM_LOCALID": "0", "SLURM_JOB_NODELIST": "127.0.0.1", "SLURM_NODELIST": "127.0.0.1",
        "SLURM_NTASKS_PER_NODE": "1", "MASTER_PORT": str(port), "SLURM_SRUN_COMM_HOST": "127.0.0.1",
        "OMP_NUM_THREADS": "1",  # more threads round otherwise
    }  # fmt: skip


@pytest.fixture
def pair(packed: Any, launch: Callable[..., Any]) -> Callable[..., list[Any]]:
    """A function: starts both processes of a run."""

    def start(
        run: Path,
        *more: str,
        before: Mapping[int, Callable[[], None]] | None = None,
        environment: Callable[[int, int], dict[str, str]] = fabrics_own,
        settings: tuple[str, ...] = ("devices=2",),
    ) -> list[Any]:
        port = free_port()
        given = ["pretrain", *packed.settings(run), *LONGER, *settings, *more]
        first = (before or {}).get
        return [
            launch(given, first(rank, lambda: None), environment(rank, port)) for rank in (0, 1)
        ]

    return start


def wait_for_checkpoint(run: Path, children: list[Any]) -> None:
    deadline = time.monotonic() + 240
    while not checkpoints(run / "checkpoints"):
        assert all(child.process.is_alive() for child in children), [c.said() for c in children]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def weights(run: Path) -> bytes:
    return (run / "encoder" / "encoder.safetensors").read_bytes()


@pytest.fixture(scope="module")
def never_stopped() -> dict[str, bytes]:
    """Filled by the first test that needs it."""
    return {}


def writes_nothing() -> None:
    """Two writers of one name would remove each other's temporary files."""

    def refused(path: str | Path, text: str) -> None:
        raise AssertionError(f"a process that is not the first writes {path}")

    pretrain.write_text = refused


def resumes(
    run: Path, pair: Callable[..., list[Any]], known: dict[str, bytes], tmp_path: Path
) -> None:
    """The same command ends with the weights of a run that never stopped."""
    assert not (run / "encoder").exists()
    again = pair(run)
    assert [child.end() for child in again] == [0, 0], [child.said() for child in again]
    if not known:
        assert [child.end() for child in pair(tmp_path / "whole")] == [0, 0]
        known["whole"] = weights(tmp_path / "whole")
    assert weights(run) == known["whole"]
    assert not list(run.rglob("*.tmp")) and not (run / ".lock").exists()


@pytest.mark.parametrize("dead", [0, 1])
def test_a_dead_process_ends_the_others_and_the_run_resumes(
    pair: Any, tmp_path: Path, never_stopped: dict[str, bytes], counted: Counter[str], dead: int
) -> None:
    run = tmp_path / "run"
    children = pair(run)
    wait_for_checkpoint(run, children)
    children[dead].kill()
    began = time.monotonic()
    assert children[1 - dead].end(60) == 2
    seconds = time.monotonic() - began
    (line,) = children[1 - dead].lines()
    assert f"process {1 - dead} of 2 lost another one" in line and "resumes" in line
    assert "Traceback" not in children[1 - dead].said()
    print(f"\nthe other process ended {seconds:.1f} s after process {dead} was killed")
    resumes(run, pair, never_stopped, tmp_path)
    counted["dead processes survived"] += 1


def test_two_processes_killed_at_random_moments_end_alike(
    pair: Any, tmp_path: Path, counted: Counter[str]
) -> None:
    began = time.monotonic()
    assert [child.end() for child in pair(tmp_path / "whole")] == [0, 0]
    seconds, draw, survived = time.monotonic() - began, random.Random(0), 0
    for number in range(5 * KILLS):
        run = tmp_path / str(number)
        children = pair(run, "timeout_s=30")  # of one whose partner dies before they have met
        time.sleep(draw.uniform(0.1, 0.95) * seconds)
        children[draw.randrange(2)].kill()
        if [child.end(240) for child in children] == [0, 0]:
            continue  # they had ended
        again = pair(run)
        assert [child.end() for child in again] == [0, 0], [child.said() for child in again]
        assert weights(run) == weights(tmp_path / "whole")
        survived += 1
        if survived == KILLS:
            break
    assert survived == KILLS
    counted["pairs of processes survived"] += survived


def test_a_process_that_hangs_is_given_up(pair: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    children = pair(run, "timeout_s=5", "pretrain.steps=4000")
    wait_for_checkpoint(run, children)
    children[1].kill(signal.SIGSTOP)
    began = time.monotonic()
    assert children[0].end(60) == 2
    assert time.monotonic() - began < 40
    (line,) = children[0].lines()
    assert "process 0 of 2 lost another one, which has ended or hangs" in line


@pytest.mark.parametrize("told", [(0, 1), (1,)])
def test_a_signal_to_any_process_writes_a_checkpoint(
    pair: Any, tmp_path: Path, never_stopped: dict[str, bytes], told: tuple[int, ...]
) -> None:
    run = tmp_path / "run"
    children = pair(run, before={1: writes_nothing})
    wait_for_checkpoint(run, children)
    for rank in told:
        children[rank].kill(signal.SIGTERM)
    assert [child.end() for child in children] == [143, 143], [c.said() for c in children]
    (line,) = children[0].lines()
    last = int(checkpoints(run / "checkpoints")[-1].stem[5:])
    assert f"stopped after step {last} of 40, which is written; the same command resumes" in line
    resumes(run, pair, never_stopped, tmp_path)


def test_processes_that_see_different_checkpoints_are_refused(
    pair: Any, packed: Any, tmp_path: Path
) -> None:
    """As where each machine has a disk of its own."""

    def elsewhere() -> None:
        resume.load_latest = lambda folder: (folder, {"step": 7})

    children = pair(tmp_path / "run", before={1: elsewhere})
    assert [child.end() for child in children] == [2, 2]
    assert "all machines share" in children[0].lines()[0]
    assert "[0, 7]" in children[0].lines()[0]


def test_under_slurm_with_two_machines(
    pair: Any, tmp_path: Path, never_stopped: dict[str, bytes]
) -> None:
    run = tmp_path / "run"
    settings = ("devices=1", "nodes=2")
    children = pair(run, environment=slurms, settings=settings)
    assert [child.end() for child in children] == [0, 0], [child.said() for child in children]
    if "whole" in never_stopped:
        assert weights(run) == never_stopped["whole"]


@pytest.mark.parametrize("machines", [1, 2])
def test_under_torchrun(
    packed: Any, tmp_path: Path, never_stopped: dict[str, bytes], machines: int
) -> None:
    """One launcher with two processes, or two launchers, as on two machines."""
    run, port = tmp_path / "run", free_port()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    launchers = []
    for node in range(machines):
        command = [
            sys.executable, "-m", "torch.distributed.run", f"--nnodes={machines}",
            f"--node_rank={node}", f"--nproc_per_node={2 // machines}",
            "--master_addr=127.0.0.1", f"--master_port={port}", "-m", "audioinv.cli",
        ]  # fmt: skip
        given = [*packed.settings(run), *LONGER, f"devices={2 // machines}", f"nodes={machines}"]
        launchers.append(
            subprocess.Popen(
                [*command, "pretrain", *given], stderr=subprocess.PIPE, text=True, env=environment
            )
        )
    said = [launcher.communicate(timeout=400)[1] for launcher in launchers]
    assert [launcher.returncode for launcher in launchers] == [0] * machines, said
    if "whole" in never_stopped:
        assert weights(run) == never_stopped["whole"]


def test_fabric_starts_the_second_process_itself(
    packed: Any, tmp_path: Path, never_stopped: dict[str, bytes]
) -> None:
    """As with several GPUs in one machine; here killing the second one ends the first."""
    run = tmp_path / "run"
    given = [*packed.settings(run), *LONGER, "devices=2", "pretrain.steps=4000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "audioinv.cli", "pretrain", *given],
        stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    while not checkpoints(run / "checkpoints"):
        assert process.poll() is None
        time.sleep(0.05)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children}
    (second,) = [int(pid) for pid, command in commands.items() if b"pretrain" in command]
    os.kill(second, signal.SIGKILL)
    began = time.monotonic()
    said = process.communicate(timeout=60)[1]
    assert time.monotonic() - began < 30
    assert process.returncode in (2, -signal.SIGKILL), said
    assert "lost another one" in said or "terminated with code -9" in said
