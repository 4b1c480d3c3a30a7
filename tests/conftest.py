"""Shared fixtures."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from audioinv.data import modality
from tests.modality_series import ENTRY

REPOSITORY = Path(__file__).parents[1]
COUNTED: Counter[str] = Counter()
torch.set_num_threads(1)


@pytest.fixture
def counted() -> Counter[str]:
    """What was survived, by kind; the end of a run prints it."""
    return COUNTED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest test goes first: of several workers one would be alone with it at the end."""
    items.sort(key=lambda item: item.path.name != "test_devices.py")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for kind, number in sorted(COUNTED.items()):
        terminalreporter.write_line(f"{kind}: {number}")


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[Any]:
    """A Ray cluster: a head that does no work, and `machines`, two of them with one core each."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'audioinv[ray]'")
    from ray.cluster_utils import Cluster

    settings: dict[str, Any] = {"include_dashboard": False, "object_store_memory": 128 << 20}
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **settings})
    made.machines = [made.add_node(num_cpus=1, **settings) for _ in range(2)]
    yield made
    made.shutdown()


@pytest.fixture(scope="session")
def kill_on_ray() -> Callable[[Any, str], None]:
    """A function: SIGKILL to a busy worker process of a `ray_cluster`, or to a whole machine."""

    def kill(cluster: Any, victim: str) -> None:
        if victim == "a machine":
            cluster.remove_node(cluster.machines.pop(), allow_graceful=False)
            return
        raylets = {node.all_processes["raylet"][0].process.pid for node in cluster.machines}
        busy: list[int] = []
        while not busy:  # a worker's name says whether it has work
            busy = [p for p, parent in processes_of("ray::_work").items() if parent in raylets]
        os.kill(busy[0], signal.SIGKILL)

    return kill


def processes_of(word: str) -> dict[int, int]:
    """Process -> its parent, of the processes whose command line begins with `word`."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "cmdline").read_bytes().startswith(word.encode()):
                status = (folder / "stat").read_text()
                found[int(folder.name)] = int(status.rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has ended
    return found


@pytest.fixture(scope="module")
def series_registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A package is installed that registers the modality of tests/modality_series, for this process
    and those that it starts."""
    info = tmp_path_factory.mktemp("path") / "series-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: series\nVersion: 0\n")
    (info / "entry_points.txt").write_text(ENTRY)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(info.parent)
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, (info.parent, REPOSITORY))))
        modality._entries.cache_clear()
        yield
    modality._entries.cache_clear()


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
