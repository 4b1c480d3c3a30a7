"""Embedding in pieces: one table whatever made it, and nothing made twice after an interruption."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from audioinv.base import files
from audioinv.cli import main
from audioinv.commands import embed

CLIPS = 60


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight pieces of the 60 clips."""
    monkeypatch.setattr(embed, "PIECE_CLIPS", 8)


def arguments(world: Any, out: Path, *more: str) -> list[str]:
    return ["embed", "--out", str(out), *more, *world.settings()]


def whole(world: Any, folder: Path) -> bytes:
    """What the simplest run of this process writes."""
    assert main(arguments(world, folder / "whole.parquet", "--nj", "1")) == 0
    return (folder / "whole.parquet").read_bytes()


@pytest.mark.usefixtures("small_pieces")
def test_pieces_make_the_table_that_one_piece_makes(finished: Any, tmp_path: Path) -> None:
    assert whole(finished, tmp_path)
    joined = pd.read_parquet(tmp_path / "whole.parquet")
    at_once = pd.read_parquet(finished.folder / "features.parquet")
    features = [np.stack(table.pop("feature")) for table in (joined, at_once)]
    pd.testing.assert_frame_equal(joined, at_once)
    np.testing.assert_allclose(features[0], features[1], atol=1e-5)
    assert len(joined) == CLIPS and joined["id"].is_unique
    assert pq.ParquetFile(tmp_path / "whole.parquet").num_row_groups == 8
    assert [path.name for path in tmp_path.iterdir()] == ["whole.parquet"]


def test_how_longer_clips_are_used_is_told(
    finished: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The clips have 0.6 s, the encoder sees 0.5 s."""
    caplog.set_level(logging.INFO)
    told = "60 of 60 clips are longer than the encoder's window: "
    for words, how in (([], "all of them is used"), (["--hop_s", "0"], "17% of all, is not used")):
        caplog.clear()
        assert main(arguments(finished, tmp_path / "f.parquet", "--nj", "1", *words)) == 0
        assert caplog.text.count(told) == 1 and how in caplog.text


def test_averaging_is_refused(finished: Any, tmp_path: Path, refuse: Callable[..., str]) -> None:
    line = refuse(arguments(finished, tmp_path / "f.parquet", "features.views=3"))
    assert "features.views is 3" in line and "features.views=0" in line
    assert not (tmp_path / "f.parquet").exists()


def test_the_same_again_is_done_already(finished: Any, tmp_path: Path) -> None:
    out = tmp_path / "f.parquet"
    assert main(arguments(finished, out)) == 0
    made = out.stat().st_mtime_ns
    assert main(arguments(finished, out, "--nj", "1")) == 0
    assert out.stat().st_mtime_ns == made
    assert main(arguments(finished, out, "--descriptor=-pitch_shift")) == 0
    assert out.stat().st_mtime_ns != made


@pytest.mark.usefixtures("small_pieces")
def test_what_was_killed_goes_on_with_the_pieces_that_stand(
    finished: Any,
    launch: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    counted: Counter[str],
) -> None:
    expected = whole(finished, tmp_path)
    out = tmp_path / "f.parquet"

    def dies_at_the_fourth() -> None:
        replace, calls = os.replace, []

        def counting(source: Any, target: Any) -> None:
            calls.append(target)
            if len(calls) == 4:
                os.kill(os.getpid(), signal.SIGKILL)
            replace(source, target)

        files.os.replace = counting  # type: ignore[assignment]

    child = launch(arguments(finished, out, "--nj", "1"), dies_at_the_fourth)
    assert child.end() == -signal.SIGKILL
    assert len(list((tmp_path / "f.parquet.pieces").glob("piece-*"))) == 3 and not out.exists()
    computed = []
    of = embed.rows_of_piece
    monkeypatch.setattr(
        embed, "rows_of_piece", lambda p: computed.append(p.last - p.first) or of(p)
    )
    assert main(arguments(finished, out, "--nj", "1")) == 0
    assert computed == [8, 8, 8, 8, 4]
    assert out.read_bytes() == expected
    assert not (tmp_path / "f.parquet.pieces").exists()
    counted["kills survived"] += 1


@pytest.mark.slow
@pytest.mark.usefixtures("small_pieces")
def test_two_processes_write_the_bytes_of_one(finished: Any, tmp_path: Path) -> None:
    assert main(arguments(finished, tmp_path / "f.parquet", "--nj", "2")) == 0
    assert (tmp_path / "f.parquet").read_bytes() == whole(finished, tmp_path)


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("small_pieces")
def test_a_worker_that_dies_on_ray_loses_nothing_and_repeats_nothing(
    finished: Any,
    ray_cluster: Any,
    kill_on_ray: Callable[[Any, str], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    counted: Counter[str],
) -> None:
    out, standing = tmp_path / "f.parquet", []

    def strike() -> None:
        while not list(tmp_path.glob("f.parquet.pieces/piece-*")):
            time.sleep(0.005)
        kill_on_ray(ray_cluster, "a worker")
        standing.append(len(list(tmp_path.glob("f.parquet.pieces/piece-*"))))

    killer = threading.Thread(target=strike, daemon=True)
    killer.start()
    monkeypatch.setenv("RAY_ADDRESS", ray_cluster.address)
    assert main(arguments(finished, out, "--engine", "ray")) == 0
    killer.join()
    assert 1 <= standing[0] < 8, "it was not killed midway"
    assert out.read_bytes() == whole(finished, tmp_path)
    found = Counter(pd.read_parquet(out)["id"])
    counted["clips embedded on Ray while a worker was killed"] += len(found)
    counted["clips lost on Ray"] += CLIPS - len(found)
    counted["clips twice on Ray"] += sum(times > 1 for times in found.values())
    assert len(found) == CLIPS == found.total()
