"""SIGKILL: whatever is started again ends with the bytes of what never stopped."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch

from audioinv.audio.clips import RandomCrops
from audioinv.audio.media import Sounds
from audioinv.base import files
from audioinv.data.manifest import read_manifest
from audioinv.data.pack import build_pack
from audioinv.training import state as checkpoint
from audioinv.training.rank_one import RankOneAdam
from audioinv.training.state import checkpoints

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]
KILLS = {"pretrain": 12, "pack": 8, "adapt": 10, "export": 5, "embed": 5, "index": 5}
LONGER = ["pretrain.steps=24", "pretrain.checkpoint_every=3"]
OUT = {"export": "plain.pt2", "embed": "features.parquet"}
CORNERS = [f"--descriptor={corner}" for corner in ("all", "none", "-pitch_shift", "pitch_shift")]
MODES = "adapt.modes=[fixed:all,search,soft,paper]"


def ended(run: Path) -> dict[str, Any]:
    """What a run leaves, without the seconds that it took."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    last = checkpoints(run / "checkpoints")[-1]
    return {
        "encoder": (run / "encoder" / "encoder.safetensors").read_bytes(),
        "rows": [{k: v for k, v in row.items() if k != "seconds"} for row in rows],
        "state": torch.load(last, weights_only=True)["optimiser"]["state"][0]["exp_avg"].tolist(),
        "left": sorted(p.name for p in run.rglob("*") if p.suffix in (".tmp", ".lock")),
    }


def adapted(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted(run.glob("tasks/*/*/adapted.*")):
        name = str(path.relative_to(run))
        found[name] = path.read_bytes()
        if path.suffix == ".json":
            said = json.loads(found[name])
            found[name] = {k: v for k, v in said.items() if k not in ("seconds", "command")}
    return found


def written(run: Path) -> dict[str, bytes]:
    """Files beside the run's own, whatever is left of half ones among them."""
    return {
        path.name: path.read_bytes()
        for path in run.iterdir()
        if path.is_file() and path.name != "config.yaml"
    }


def files_in(out: Path) -> dict[str, bytes]:
    files = (path for path in out.rglob("*") if path.is_file())
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


class Work:
    """One kind of work: how it is started in a folder, and what it leaves there."""

    def __init__(self, kind: str, world: Any, launch: Callable[..., Any]) -> None:
        self.kind = kind
        self.world = world
        self.launch = launch
        own = {"pretrain": ended, "adapt": adapted, "pack": files_in, "index": files_in}
        self.left = own.get(kind, written)

    def start(self, folder: Path, before: Callable[[], None] = lambda: None) -> Any:
        if self.kind == "pack":
            return self.launch([str(folder)], before, work=self.pack)
        if self.kind == "index":
            told = [str(self.world.pack), "--encoder", str(self.world.run / "encoder")]
            return self.launch(["index", *told, "--out", str(folder), *CORNERS], before)
        out = ["--out", str(folder / OUT[self.kind])] if self.kind in OUT else []
        more = {"pretrain": LONGER, "adapt": [MODES]}.get(self.kind, out)
        if self.kind != "pretrain" and not folder.exists():
            shutil.copytree(self.world.run / "encoder", folder / "encoder")
            shutil.copy(self.world.run / "config.yaml", folder)
        return self.launch([self.kind, *self.world.settings(folder), *more], before)

    def pack(self, arguments: Sequence[str]) -> int:
        manifest = read_manifest(self.world.manifest, self.world.folder / "audio")
        build_pack(manifest, arguments[0], Sounds(16000), shard_clips=4)
        return 0


@pytest.mark.parametrize("kind", KILLS)
def test_at_random_moments(
    finished: Any, launch: Callable[..., Any], tmp_path: Path, counted: Counter[str], kind: str
) -> None:
    work = Work(kind, finished, launch)
    began = time.monotonic()
    assert work.start(tmp_path / "whole").end() == 0
    seconds = time.monotonic() - began
    whole = work.left(tmp_path / "whole")
    assert whole
    draw = random.Random(kind)
    survived = tries = 0
    while survived < KILLS[kind]:
        tries += 1
        assert tries < 5 * KILLS[kind], "it is never killed before it ends"
        folder = tmp_path / f"killed_{tries}"
        child = work.start(folder)
        time.sleep(draw.uniform(0.02, 0.95) * seconds)
        child.kill()
        if child.end() != -signal.SIGKILL:
            continue  # it had ended
        again = work.start(folder)
        assert again.end() == 0, again.said()
        assert work.left(folder) == whole
        survived += 1
        shutil.rmtree(folder)
    counted["kills survived"] += survived


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def at_call(owner: Any, name: str, number: int, after: bool = False) -> None:
    """Makes the `number`-th call of `owner.name` the last thing that this process does."""
    function, calls = getattr(owner, name), []

    def counting(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == number and not after:
            die()
        result = function(*arguments, **named)
        if len(calls) == number:
            die()
        return result

    setattr(owner, name, counting)


def half_a_checkpoint() -> None:
    """The third checkpoint is cut in the middle of its writing."""
    save, calls = torch.save, []

    def cut(state: Any, file: BinaryIO) -> None:
        save(state, file)
        calls.append(1)
        if len(calls) == 3:
            file.truncate(file.tell() // 2)
            file.flush()
            die()

    checkpoint.torch.save = cut  # type: ignore[attr-defined]


MOMENTS: dict[str, Callable[[], None]] = {
    "loading data": lambda: at_call(RandomCrops, "batch", 11),
    "in a step": lambda: at_call(RankOneAdam, "step", 11),
    "after a step": lambda: at_call(RankOneAdam, "step", 12, after=True),
    "writing a checkpoint": half_a_checkpoint,
    "flushing a file": lambda: at_call(os, "fsync", 4),
    "before a rename": lambda: at_call(files.os, "replace", 5),
    "after a rename": lambda: at_call(files.os, "replace", 5, after=True),
    "before old checkpoints go": lambda: at_call(checkpoint, "checkpoints", 5),
    "before the encoder is described": lambda: at_call(files.os, "replace", 12),
}


WHOLE: dict[str, Any] = {}
"""What a run leaves that nobody kills; made once."""


@pytest.mark.parametrize("moment", MOMENTS)
def test_at_a_chosen_moment_of_pretraining(
    finished: Any, launch: Callable[..., Any], tmp_path: Path, counted: Counter[str], moment: str
) -> None:
    work = Work("pretrain", finished, launch)
    assert work.start(tmp_path / "killed", MOMENTS[moment]).end() == -signal.SIGKILL
    again = work.start(tmp_path / "killed")
    assert again.end() == 0, again.said()
    if not WHOLE:
        assert work.start(tmp_path / "whole").end() == 0
        WHOLE.update(work.left(tmp_path / "whole"))
    assert work.left(tmp_path / "killed") == WHOLE
    counted["kills survived"] += 1
