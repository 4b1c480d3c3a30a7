"""A manifest of a million rows is checked, split and sampled in bounded memory.

How long it takes: `python -m benchmarks rows_growth`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("audioinv.audio", reason="the half of sounds was left out")

from audioinv.base.files import write_json
from benchmarks.growth import CORPUS, frame_of

ROWS = 1_000_000
MOST_GIB = 2

MEASURED = """
import sys
from pathlib import Path
from audioinv.cli import main
assert main(["validate", sys.argv[1], "--no_audio"]) == 0
from audioinv.data.rows import sample_rows
from audioinv.data.manifest import read_manifest, stratified_validation
manifest = read_manifest(sys.argv[1], strict=False)
frame = stratified_validation(manifest.frame, ["label"], 0.1, seed=0)
rows = sample_rows(range(len(frame)), 100_000, 0, "test")
assert frame["split"].value_counts()["valid"] == len(frame) // 10
assert len(set(rows)) == 100_000
status = Path("/proc/self/status").read_text()  # getrusage would count the parent before exec
print(int(status.split("VmHWM:")[1].split()[0]) / 2**20)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads its peak memory from /proc")
@pytest.mark.timeout(1200)
def test_a_million_rows(tmp_path: Path) -> None:
    frame_of(ROWS).assign(split="train").to_csv(tmp_path / "manifest.csv", index=False)
    write_json(tmp_path / "corpus.json", CORPUS.to_json())
    command = [sys.executable, "-c", MEASURED, str(tmp_path)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = printed.splitlines()
    assert f"{ROWS} clips, 0 problems" in lines
    assert 0.1 < float(lines[-1]) < MOST_GIB
