"""Shared fixtures."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

REPOSITORY = Path(__file__).parents[1]
COUNTED: Counter[str] = Counter()
torch.set_num_threads(1)


@pytest.fixture
def counted() -> Counter[str]:
    """What was survived, by kind; the end of a run prints it."""
    return COUNTED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for kind, number in sorted(COUNTED.items()):
        terminalreporter.write_line(f"{kind}: {number}")


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """A function: corpus name -> folder of its real data; skips the test where that is absent."""
    root = Path(os.environ.get("AUDIOINV_TEST_DATA", REPOSITORY.parent / "shared" / "data"))

    def find(name: str) -> Path:
        folder = root / name
        if not folder.is_dir():
            pytest.skip(f"{name} is not at {folder}; set AUDIOINV_TEST_DATA to the folder with it")
        return folder

    return find
