"""Looking at many files: one by one where that is fast, in threads where files are slow."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from audioinv.base.errors import FileError
from audioinv.data import parallel


@pytest.mark.parametrize(("wait_s", "several"), [(0.0, False), (4e-3, True)])
def test_files_are_looked_at_in_order_and_slow_ones_in_threads(wait_s: float, several: bool):
    paths = [Path(str(k)) for k in range(3 * parallel.PROBED_FIRST)]
    threads = set()

    def probe(path: Path) -> int:
        time.sleep(wait_s)
        threads.add(threading.get_ident())
        if path.name.endswith("7"):
            raise FileError("odd", str(path))
        return int(path.name)

    found = parallel.probe_each(probe, paths)

    assert (len(threads) > 2) is several
    for k, each in enumerate(found):
        assert isinstance(each, FileError) if k % 10 == 7 else each == k


def test_of_no_file_nothing_is_found():
    assert parallel.probe_each(len, []) == []
