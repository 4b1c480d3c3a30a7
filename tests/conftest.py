"""Shared fixtures."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

REPOSITORY = Path(__file__).parents[1]
torch.set_num_threads(1)


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
