"""Arrays in memory up to a budget, and in files beyond it."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest
import torch

from audioinv.base.errors import UserError
from audioinv.tasks.storage import Storage


def test_beyond_the_budget_arrays_lie_in_files_that_have_no_name(tmp_path: Path) -> None:
    storage = Storage(1e-6)  # 1,000 bytes
    small, large = storage.zeros(10, 20), storage.zeros(10, 20)
    assert len(storage.mapped) == 1 and storage.used == 800
    large[3] = 7
    storage.rest(large)
    assert large.sum() == 140 and not small.any()
    del small, large
    gc.collect()
    assert not storage.mapped and storage.used == 0


def test_an_array_in_a_file_gives_its_pages_back() -> None:
    storage = Storage(0)
    x = storage.zeros(4096, 1024)
    x.fill_(1)
    before = resident()
    storage.rest(x)
    assert before - resident() > 12 << 20
    assert float(x.sum()) == 4096 * 1024


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("gb", [-1, float("nan")])
def test_a_budget_below_nothing_is_refused(gb: float) -> None:
    with pytest.raises(UserError, match=r"features\.memory_gb.*0 or more"):
        Storage(gb)


def test_without_a_limit() -> None:
    assert torch.equal(Storage(float("inf")).zeros(2, 2), torch.zeros(2, 2))
