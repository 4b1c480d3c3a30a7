"""The tests of `on_a_device.py`, in a process of their own.

Autograd starts a thread for the device that is not there. No process that is forked after that can
go backward, and other tests fork.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.halves import of_sounds

FILE = Path(__file__).with_name("on_a_device.py")


@of_sounds
@pytest.mark.parametrize("which", ["not slow", pytest.param("slow", marks=pytest.mark.slow)])
def test_on_a_device(which: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-x", str(FILE), "-m", which]
    done = subprocess.run(command, cwd=FILE.parents[1], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-8000:]
