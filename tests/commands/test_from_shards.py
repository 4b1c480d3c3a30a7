"""Pre-training straight from WebDataset shards: the weights of a pack's, and resumed to the bit."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tarfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from audioinv.audio.clips import RandomCrops
from audioinv.base.files import read_json
from audioinv.cli import main
from audioinv.data.pack import open_pack
from audioinv.training.order import batch_indices

pytest.importorskip(
    "webdataset", reason="webdataset is not installed: pip install 'audioinv[webdataset]'"
)
CLIPS = 48  # to train on, in the tiny corpus


@pytest.fixture(scope="session")
def tars(packed: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five shards of the pack's training clips, in its order, each with a label beside it."""
    folder = tmp_path_factory.mktemp("shards")
    frame = open_pack(packed.pack).frame
    paths = frame[frame["split"] != "test"]["path"].tolist()
    assert len(paths) == CLIPS
    for shard in range(5):
        with tarfile.open(folder / f"part-{shard}.tar", "w") as archive:
            for number, path in enumerate(paths[10 * shard : 10 * shard + 10]):
                archive.add(packed.folder / "audio" / path, f"clip{shard}{number}.wav")
                archive.add(__file__, f"clip{shard}{number}.json")
    return folder


def settings(world: Any, tars: Path, run: Path, *more: str) -> list[str]:
    given = [word for word in world.settings(run) if not word.startswith("pack=")]
    return [*given, f"shards='{tars}/part-{{0..4}}.tar'", *more]


def weights(run: Path) -> bytes:
    return (run / "encoder" / "encoder.safetensors").read_bytes()


@pytest.mark.parametrize("threads", [0, 3])
def test_the_weights_are_those_of_a_pack_of_the_same_clips(
    finished: Any, tars: Path, tmp_path: Path, threads: int
) -> None:
    run = tmp_path / "run"
    more = f"pretrain.read_ahead={threads}"
    assert main(["pretrain", *settings(finished, tars, run, more)]) == 0
    assert weights(run) == weights(finished.run)
    assert (
        read_json(run / "encoder" / "encoder.json")["info"]["pack"]
        == (read_json(run / "shards.json")["key"])
    )


@pytest.mark.slow
@pytest.mark.parametrize("threads", [0, 3])
def test_a_run_that_is_killed_sees_the_same_examples_again(
    finished: Any,
    tars: Path,
    tmp_path: Path,
    launch: Callable[..., Any],
    counted: Counter[str],
    threads: int,
) -> None:
    run, seen = tmp_path / "run", tmp_path / "seen"
    seen.touch()
    read = RandomCrops.batch

    def noted(kill_at: int) -> Callable[[], None]:
        def install() -> None:
            def batch(self: RandomCrops, indices: Any, *more: Any) -> Any:
                with open(seen, "a") as file:
                    file.write(",".join(map(str, indices.tolist())) + "\n")
                if len(seen.read_text().splitlines()) == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)
                return read(self, indices, *more)

            RandomCrops.batch = batch  # type: ignore[method-assign]

        return install

    arguments = ["pretrain", *settings(finished, tars, run, f"pretrain.read_ahead={threads}")]
    child = launch(arguments, noted(5 if threads == 0 else 6))
    assert child.end() == -signal.SIGKILL, child.said()
    last = max((int(p.stem[5:]) for p in run.glob("checkpoints/step_*.pt")), default=0)
    before = len(seen.read_text().splitlines())
    resumed = launch(arguments, noted(-1))
    assert resumed.end() == 0, resumed.said()
    again = seen.read_text().splitlines()[before:-1]  # the last is for the statistics
    expected = [batch_indices(CLIPS, 12, 0, step).tolist() for step in range(last, 6)]
    assert sorted(again) == sorted(",".join(map(str, batch)) for batch in expected)
    assert weights(run) == weights(finished.run)
    counted["kills survived"] += 1


@pytest.mark.distributed
@pytest.mark.timeout(600)
def test_two_processes_end_as_they_do_with_a_pack(
    packed: Any, tars: Path, tmp_path: Path, launch: Callable[..., Any]
) -> None:
    made = []
    for name in ("pack", "shards"):
        run = tmp_path / name
        given = packed.settings(run) if name == "pack" else settings(packed, tars, run)
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        both = {"NODE_RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
        children = [
            launch(
                ["pretrain", *given, "devices=2", "pretrain.batch_size=6"],
                environment={**both, "LOCAL_RANK": str(rank), "MASTER_PORT": str(port)},
            )
            for rank in range(2)
        ]
        assert [child.end() for child in children] == [0, 0], [c.said() for c in children]
        made.append(weights(run))
    assert made[0] == made[1]


def test_an_epoch_takes_every_clip_once() -> None:
    epoch = [clip for step in range(4) for clip in batch_indices(CLIPS, 12, 0, step).tolist()]
    assert sorted(epoch) == list(range(CLIPS))


def test_shards_that_hold_other_files_at_a_resume(
    finished: Any, tars: Path, tmp_path: Path, refuse: Callable[[Sequence[str]], str]
) -> None:
    mine, run = tmp_path / "mine", tmp_path / "run"
    mine.mkdir()
    for tar in tars.iterdir():
        (mine / tar.name).write_bytes(tar.read_bytes())
    given = settings(finished, mine, run)
    assert main(["pretrain", *given]) == 0
    (run / "encoder" / "encoder.json").unlink()  # as if it had not come to its end
    os.replace(mine / "part-0.tar", mine / "part-9.tar")
    os.link(mine / "part-1.tar", mine / "part-0.tar")
    line = refuse(["pretrain", *given])
    assert "hold other files than when" in line and "allow_changes=true" in line
    assert main(["pretrain", *given, "allow_changes=true"]) == 0


def test_statistics_and_profile_from_shards(
    finished: Any, tars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = f"statistics={tmp_path}/statistics.json"
    assert main(["statistics", *settings(finished, tars, tmp_path / "run", other)]) == 0
    made, known = read_json(tmp_path / "statistics.json"), read_json(finished.statistics)
    assert (made["mean"], made["std"]) == (known["mean"], known["std"])
    more = "pretrain.read_ahead=2"
    given = settings(finished, tars, tmp_path / "run", more)
    assert main(["profile", "--steps", "2", *given]) == 0
    assert "| data |" in capsys.readouterr().out


def test_what_is_refused(
    finished: Any,
    tars: Path,
    tmp_path: Path,
    refuse: Callable[[Sequence[str]], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = settings(finished, tars, tmp_path / "run")
    assert "give one" in refuse(["pretrain", *given, f"pack={finished.pack}"])
    assert "on_error is 'ignore'" in refuse(["pretrain", *given, "on_error=ignore"])
    assert "read_ahead is -1" in refuse(["pretrain", *given, "pretrain.read_ahead=-1"])
    assert "give pack=PATH" in refuse(["adapt", *settings(finished, tars, finished.run)])
    monkeypatch.setitem(sys.modules, "webdataset", None)
    monkeypatch.delitem(sys.modules, "webdataset.shardlists", raising=False)
    assert "pip install 'audioinv[webdataset]'" in refuse(["pretrain", *given])
