"""Packing on Ray: the bytes of the local engine, also when a worker or a machine dies midway."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("audioinv.audio", reason="the half of sounds was left out")

import audioinv
from audioinv.audio.io import write_wav
from audioinv.audio.media import Sounds
from audioinv.base.errors import UserError
from audioinv.data import on_ray, pack
from audioinv.data.engines import engine_of
from audioinv.data.manifest import Corpus, Manifest, write_manifest
from audioinv.data.pack import build_pack
from audioinv.data.parallel import Local, map_all

RATE = 8000
CLIPS, SHARD_CLIPS = 600, 10
PACKING = f"""
import sys
from audioinv.data.manifest import read_manifest
from audioinv.audio.media import Sounds
from audioinv.data.pack import build_pack
from audioinv.data.engines import engine_of
table, root, out, address = sys.argv[1:]
engine = engine_of("ray", 2, address)
build_pack(read_manifest(table, root), out, Sounds({RATE}), engine, shard_clips={SHARD_CLIPS})
"""


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Clips at twice the pack's rate: resampling takes time enough to be killed in."""
    root = tmp_path_factory.mktemp("audio")
    random = np.random.default_rng(0)
    for i in range(CLIPS):
        write_wav(root / f"{i}.wav", random.uniform(-1, 1, 8000), 2 * RATE)
    frame = pd.DataFrame(
        {
            "id": [f"clip{i}" for i in range(CLIPS)],
            "path": [f"{i}.wav" for i in range(CLIPS)],
            "start": 0.0,
            "duration": 0.5,
            "sample_rate": 2 * RATE,
            "split": "train",
        }
    )
    return Manifest(frame, Corpus("tiny", "Tiny", "made here", "CC0-1.0", ".", 2 * RATE), root)


@pytest.fixture(scope="module")
def local(manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the local engine makes."""
    out = tmp_path_factory.mktemp("local") / "pack"
    build_pack(manifest, out, Sounds(RATE), shard_clips=SHARD_CLIPS)
    return contents(out)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("victim", ["a worker", "a machine"])
def test_a_death_midway_loses_nothing_and_repeats_nothing(
    manifest: Manifest,
    local: dict[str, bytes],
    ray_cluster: Any,
    kill_on_ray: Callable[[Any, str], None],
    tmp_path: Path,
    counted: Counter[str],
    victim: str,
) -> None:
    out = tmp_path / "pack"
    standing: list[int] = []

    def strike() -> None:
        while len(list(out.glob("shard-*.arrow"))) < 5:
            time.sleep(0.005)
        kill_on_ray(ray_cluster, victim)
        standing.append(len(list(out.glob("shard-*.arrow"))))

    killer = threading.Thread(target=strike, daemon=True)
    killer.start()
    engine = engine_of("ray", 2, ray_cluster.address)
    made = build_pack(manifest, out, Sounds(RATE), engine, shard_clips=SHARD_CLIPS)
    killer.join()
    assert 5 <= standing[0] < CLIPS // SHARD_CLIPS, "it was not killed midway"
    assert contents(out) == local
    found = Counter(made.frame["id"])
    lost = set(manifest.frame["id"]) - found.keys()
    twice = [clip for clip, times in found.items() if times > 1]
    counted[f"clips packed on Ray while {victim} was killed"] += len(made)
    counted["clips lost on Ray"] += len(lost)
    counted["clips twice on Ray"] += len(twice)
    assert not lost and not twice


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_a_command_that_is_killed_goes_on_with_the_shards_that_stand(
    manifest: Manifest,
    local: dict[str, bytes],
    ray_cluster: Any,
    tmp_path: Path,
    counted: Counter[str],
) -> None:
    table = write_manifest(tmp_path / "data", manifest.frame, manifest.corpus)
    out = tmp_path / "pack"
    child = subprocess.Popen(
        [sys.executable, "-c", PACKING, table, manifest.root, out, ray_cluster.address]
    )
    while len(list(out.glob("shard-*.arrow"))) < 5:
        assert child.poll() is None, "it ended before it was killed"
        time.sleep(0.005)
    child.kill()
    child.wait()
    standing = {path: path.stat().st_mtime_ns for path in out.glob("shard-*.arrow")}
    assert 5 <= len(standing) < CLIPS // SHARD_CLIPS
    engine = engine_of("ray", 2, ray_cluster.address)
    build_pack(manifest, out, Sounds(RATE), engine, shard_clips=SHARD_CLIPS)
    assert contents(out) == local
    assert {path: path.stat().st_mtime_ns for path in standing} == standing
    counted["kills survived"] += 1


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_ray_of_its_own_makes_the_same(
    manifest: Manifest, local: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'audioinv[ray]'")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.chdir(tmp_path)  # paths are relative to where the command is given
    engine = engine_of("ray", 2)
    build_pack(manifest, "pack", Sounds(RATE), engine, shard_clips=SHARD_CLIPS)
    assert contents(tmp_path / "pack") == local


@pytest.mark.faults
def test_a_piece_that_no_worker_survives(ray_cluster: Any, tmp_path: Path) -> None:
    engine = engine_of("ray", 1, ray_cluster.address)
    with pytest.raises(UserError, match="4 times"):
        map_all(os._exit, [1], engine, "dying", tmp_path)


@pytest.mark.faults
def test_code_that_a_worker_lacks(
    ray_cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text("def work(item): return item")
    monkeypatch.syspath_prepend(tmp_path)
    only_here = import_module("only_here")
    monkeypatch.setattr(sys, "path", sys.path[1:])
    engine = engine_of("ray", 1, ray_cluster.address)
    with pytest.raises(UserError, match=r"No module named 'only_here'.*install"):
        map_all(only_here.work, ["a", "b"], engine, "working", tmp_path)


@pytest.mark.faults
def test_an_unreadable_clip_says_what_the_local_engine_says(
    manifest: Manifest, ray_cluster: Any, tmp_path: Path
) -> None:
    frame = manifest.frame.iloc[:3].assign(path=["0.wav", "not there.wav", "2.wav"])
    broken = replace(manifest, frame=frame)
    said = []
    for engine in (Local(1), engine_of("ray", 2, ray_cluster.address)):
        with pytest.raises(UserError, match=r"clip clip1: .*no such file.*--on-error") as error:
            build_pack(broken, tmp_path / "pack", Sounds(RATE), engine, shard_clips=2)
        said.append(str(error.value))
        assert not (tmp_path / "pack" / "pack.json").exists()
    assert said[0] == said[1]


def test_ray_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'audioinv\[ray\]'"):
        engine_of("ray", 2)


@pytest.mark.parametrize(
    ("engine", "message"),
    [(("spark", 2, None), "give local or ray"), (("local", 2, "auto"), "give engine ray")],
)
def test_engines_that_are_not_there(engine: tuple[str, int, str | None], message: str) -> None:
    with pytest.raises(UserError, match=message):
        engine_of(*engine)


def test_a_folder_that_a_worker_does_not_share(tmp_path: Path) -> None:
    """Without Ray: what runs on a worker whose machine has another folder of that name."""
    with pytest.raises(UserError, match=r"vm.*file system"):
        on_ray._work(len, "abc", tmp_path / ".shared.0.tmp", audioinv.__version__)
    with pytest.raises(UserError, match=r"audioinv \d+\.\d+\.\d+.*0\.0\.0"):
        on_ray._work(len, "abc", None, "0.0.0")
    assert on_ray._work(len, "abc", None, audioinv.__version__) == 3


def test_audio_that_a_worker_does_not_share(manifest: Manifest, tmp_path: Path) -> None:
    """A clip that is missing there only is no clip to be skipped."""
    shard = pack._plan(manifest, tmp_path, Sounds(RATE), SHARD_CLIPS)[0]
    elsewhere = replace(shard, root=tmp_path)
    with pytest.raises(UserError, match="does not share this folder"):
        pack._make_shard(elsewhere, "skip")
    assert not shard.file.exists()


def test_a_cluster_that_is_not_there() -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'audioinv[ray]'")
    with pytest.raises(UserError, match=r"cannot reach Ray at 127\.0\.0\.1:1: .*refused"):
        map_all(len, ["a", "b"], engine_of("ray", 2, "127.0.0.1:1"), "counting")
