"""The SLURM script of docs/distributed.md, with commands that stand for srun and scontrol."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from audioinv.conf.compose import compose_config

TEXT = (Path(__file__).parents[2] / "docs" / "distributed.md").read_text(encoding="utf-8")


def script() -> str:
    found = re.search(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    assert found is not None
    return found.group(1)


@pytest.mark.parametrize("status", [0, 1, 2, 143])
def test_it_passes_the_status_on_and_requeues_what_was_preempted(
    tmp_path: Path, status: int
) -> None:
    for name, last in (("srun", f"exit {status}"), ("scontrol", "exit 0")):
        command = tmp_path / name
        command.write_text(f'#!/bin/sh\nprintf "%s\\n" "$0 $*" >> {tmp_path}/called\n{last}\n')
        command.chmod(0o755)
    (tmp_path / "job.sh").write_text(script())
    environment = {
        **os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "7",
        "SLURM_CPUS_PER_TASK": "4",
    }  # fmt: skip
    bash = shutil.which("bash")
    assert bash is not None
    done = subprocess.run([bash, str(tmp_path / "job.sh")], env=environment)
    assert done.returncode == status
    called = [Path(line.split()[0]).name for line in (tmp_path / "called").read_text().splitlines()]
    assert called == (["srun", "scontrol"] if status == 143 else ["srun"])


def test_every_command_of_the_page_has_keys_that_exist() -> None:
    """`...` stands for more of them; a shell would join continued lines."""
    lines = [line for line in TEXT.replace("\\\n", " ").splitlines() if "pretrain " in line]
    commands = [shlex.split(line.partition("||")[0]) for line in lines if "devices=" in line]
    assert len(commands) >= 4
    for words in commands:
        keys = [word for word in words if re.match(r"[a-z_.]+=", word) and not word.startswith("-")]
        config = compose_config(keys)
        assert config.devices == 8
