"""Unpacking archives: whole, inside the folder, and nothing of one that cannot be trusted."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from audioinv.base.errors import UserError
from audioinv.data.unpack import unpack


def tar_of(path: Path, *members: tuple[str, bytes | str], mode: str = "w:gz") -> Path:
    """Contents as bytes; a text is where a symbolic link points to."""
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members:
            member = tarfile.TarInfo(name)
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


def left(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tgz", "tar.bz2"])
def test_tars_are_unpacked_beside_themselves(tmp_path: Path, ending: str) -> None:
    mode = {"tar": "w", "tar.bz2": "w:bz2"}.get(ending, "w:gz")
    archive = tar_of(tmp_path / f"x.{ending}", ("./a/b.wav", b"new"), ("c", b""), mode=mode)
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b.wav").write_bytes(b"old")
    (tmp_path / "a/mine").touch()
    unpack(archive)
    assert left(tmp_path) == ["a", "a/b.wav", "a/mine", "c", archive.name]
    assert (tmp_path / "a/b.wav").read_bytes() == b"new"


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "a\\..\\evil", "C:/evil"])
def test_members_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    with zipfile.ZipFile(folder / "x.zip", "w") as archive:
        archive.writestr("good", "good")
        archive.writestr(name, "evil")
    for path in (folder / "x.zip", tar_of(folder / "x.tar.gz", ("good", b""), (name, b"evil"))):
        with pytest.raises(UserError, match="do not trust it"):
            unpack(path)
    assert left(tmp_path) == ["inside", "inside/x.tar.gz", "inside/x.zip"]


@pytest.mark.parametrize("target", ["../../outside", "/etc", "good"])
def test_links_in_a_tar_are_refused(tmp_path: Path, target: str) -> None:
    path = tar_of(tmp_path / "x.tar.gz", ("good", b"good"), ("link", target))
    with pytest.raises(UserError, match="'link'"):
        unpack(path)
    assert left(tmp_path) == ["x.tar.gz"]


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz", "x.tar.bz2", "x.tar"])
def test_damaged_archives_leave_nothing(tmp_path: Path, name: str) -> None:
    content = np.random.default_rng(0).bytes(50_000)
    path = tmp_path / name
    if name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a", content)
        damaged = path.read_bytes().replace(content[100:200], bytes(100))
    else:
        mode = f"w:{path.suffix[1:]}" if path.suffix != ".tar" else "w"
        tar_of(path, ("a", content), mode=mode)
        damaged = path.read_bytes()[:30_000]
    path.write_bytes(damaged)
    with pytest.raises(UserError, match=rf"{name}"):
        unpack(path)
    assert left(tmp_path) == [name]


def test_what_an_interrupted_run_left_aside_is_not_mixed_in(tmp_path: Path) -> None:
    aside = tmp_path / ".unpacking-x.tar.gz"
    aside.mkdir()
    (aside / "half").write_text("half")
    unpack(tar_of(tmp_path / "x.tar.gz", ("a", b"a")))
    assert left(tmp_path) == ["a", "x.tar.gz"]


def test_a_zip_in_parts_equals_what_was_zipped(tmp_path: Path) -> None:
    tool = shutil.which("zip")
    if tool is None:
        pytest.skip("no zip command to split an archive with")
    noise = np.random.default_rng(0)
    for number in range(5):
        (tmp_path / f"{number}.bin").write_bytes(noise.bytes(40_000))
    command = [tool, "-q", "-s", "64k", "x.zip", *(f"{number}.bin" for number in range(5))]
    subprocess.run(command, cwd=tmp_path, check=True)
    parts = tmp_path / "parts"
    parts.mkdir()
    for part in tmp_path.glob("x.z*"):
        part.rename(parts / part.name)
    assert len(left(parts)) > 2
    unpack(parts / "x.zip")
    for number in range(5):
        name = f"{number}.bin"
        assert (parts / name).read_bytes() == (tmp_path / name).read_bytes()


def test_not_an_archive(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.rar.*\.zip.*\.tar"):
        unpack(tmp_path / "a.rar")
