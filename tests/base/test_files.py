from __future__ import annotations

import contextlib
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from audioinv.base.errors import UserError
from audioinv.base.files import (
    atomic_path,
    read_json,
    remove_abandoned,
    write_json,
    write_text,
)
from audioinv.training.state import checkpoints, load_latest, save_checkpoint


def only(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_text_replaces_the_old_one_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    write_text(path, "old, and longer")
    write_text(path, "grün")
    assert path.read_bytes() == "grün".encode()
    assert only(path.parent) == ["a.txt"]


def test_whoever_reads_the_old_file_reads_it_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with open(path) as reader:
        write_text(path, "new")
        assert reader.read() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), OSError(28, "full")])
def test_an_error_keeps_the_old_file_and_leaves_nothing_else(
    tmp_path: Path, error: BaseException
) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    expected = UserError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected), atomic_path(path) as temporary:
        temporary.write_text("half")
        assert path.read_text() == "old"
        raise error
    assert path.read_text() == "old"
    assert only(tmp_path) == ["a.txt"]


def test_a_folder_that_cannot_be_made_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*a\.txt"):
        write_text(tmp_path / "file" / "a.txt", "text")


def test_json_round_trip_and_what_is_not_json(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"b": [1, 2.5, None]})
    assert read_json(path) == {"b": [1, 2.5, None]}
    with pytest.raises(ValueError):
        write_json(path, float("nan"))
    assert read_json(path) == {"b": [1, 2.5, None]}
    path.write_bytes(b'{"b": \xff')
    for bad in (path, tmp_path / "missing.json", tmp_path):
        with pytest.raises(UserError, match="cannot read"):
            read_json(bad)


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 64 KiB, where this process may mount one."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("this process may not mount a small tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        write_text(disk / "a.txt", "old")
        with pytest.raises(UserError, match="No space left"):
            write_text(disk / "a.txt", "x" * 200_000)
        assert (disk / "a.txt").read_text() == "old"
        assert only(disk) == ["a.txt"]


def test_a_full_disk_keeps_the_old_checkpoint(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        save_checkpoint(disk, 1, {"w": torch.ones(10)})
        with pytest.raises(UserError, match="cannot write"):
            save_checkpoint(disk, 2, {"w": torch.ones(100_000)})
        assert only(disk) == ["step_00000001.pt"]


LIMITED = """
import resource, signal, sys, torch
from audioinv.training.state import save_checkpoint
from audioinv.base.errors import UserError
from audioinv.base.files import write_text
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
folder = Path(sys.argv[1])
write_text(folder / "a.txt", "old")
save_checkpoint(folder, 1, {})
for write in (
    lambda: write_text(folder / "a.txt", "x" * 200_000),
    lambda: save_checkpoint(folder, 2, {"w": torch.ones(100_000)}),
):
    try:
        write()
    except UserError as error:
        print(error)
"""


def test_a_file_that_may_not_grow_keeps_the_old_one(tmp_path: Path) -> None:
    assert hasattr(resource, "RLIMIT_FSIZE")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("cannot write") == 2
    assert (tmp_path / "a.txt").read_text() == "old"
    assert only(tmp_path) == ["a.txt", "step_00000001.pt"]


def test_the_newest_two_checkpoints_are_kept(tmp_path: Path) -> None:
    for step in (5, 10, 100):
        save_checkpoint(tmp_path, step, {"step": step})
    assert [path.name for path in checkpoints(tmp_path)] == ["step_00000010.pt", "step_00000100.pt"]
    found = load_latest(tmp_path)
    assert found is not None and found[1] == {"step": 100}


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path: Path) -> None:
    assert load_latest(tmp_path) is None
    save_checkpoint(tmp_path, 1, {"step": 1})
    newest = save_checkpoint(tmp_path, 2, {"step": 2})
    newest.write_bytes(newest.read_bytes()[:100])
    found = load_latest(tmp_path)
    assert found is not None and found[1] == {"step": 1}
    (tmp_path / "step_00000001.pt").write_bytes(b"")
    with pytest.raises(UserError, match=r"no checkpoint .* can be read"):
        load_latest(tmp_path)


@pytest.mark.parametrize("place", [0.05, 0.5, 0.9])
def test_one_flipped_bit_is_noticed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, place: float
) -> None:
    """Also among the numbers, where torch.load would read another number."""
    save_checkpoint(tmp_path, 1, {"step": 1, "w": torch.zeros(10_000)})
    newest = save_checkpoint(tmp_path, 2, {"step": 2, "w": torch.ones(10_000)})
    content = bytearray(newest.read_bytes())
    content[int(place * len(content))] ^= 4
    newest.write_bytes(content)
    found = load_latest(tmp_path)
    assert found is not None and found[0].name == "step_00000001.pt"
    assert "step_00000002.pt cannot be read" in caplog.text and "the one before" in caplog.text


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("code from a checkpoint ran",))


def test_a_checkpoint_runs_no_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"step": Evil()}, tmp_path / "step_00000001.pt")
    with pytest.raises(UserError):
        load_latest(tmp_path)
    assert "code from a checkpoint ran" not in capsys.readouterr().out


def test_what_killed_writers_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".step_00000006.pt.123.tmp").write_text("half")
    for other in (".lock", "a.tmp", ".tmp", "step_00000006.pt"):
        (tmp_path / other).write_text("")
    remove_abandoned(tmp_path, tmp_path / "missing")
    assert only(tmp_path) == [".lock", ".tmp", "a.tmp", "step_00000006.pt"]
