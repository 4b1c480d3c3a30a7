"""What does not depend on how many threads compute it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from audioinv.cli import main


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_embedding_and_adapting_give_the_same_bytes_with_two(
    finished: Any, tmp_path: Path, threads: None
) -> None:
    found = []
    for number in (1, 2):
        torch.set_num_threads(number)
        out = tmp_path / str(number)
        adapt = ["tasks=[label]", "adapt.modes=[search,soft]", f"out={out}"]
        assert main(["adapt", *finished.settings(), *adapt]) == 0
        assert main(["embed", *finished.settings(), "--out", str(out / "features.npy")]) == 0
        statistics = f"statistics={out / 'statistics.json'}"
        assert main(["statistics", *finished.settings(), statistics]) == 0
        paths = [*sorted(out.rglob("*.safetensors")), out / "features.npy", out / "statistics.json"]
        assert len(paths) == 4
        found.append([path.read_bytes() for path in paths])
    assert found[0] == found[1]
