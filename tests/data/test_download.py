"""Downloads from a server on this machine that misbehaves as servers do."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from audioinv.base.errors import UserError
from audioinv.data import download
from audioinv.data.download import Download, fetch

BODY = np.random.default_rng(0).bytes(600_000)
MD5 = f"md5:{hashlib.md5(BODY).hexdigest()}"


class Server(ThreadingHTTPServer):
    """Serves `files`; breaks off after `breaks[i]` bytes at the i-th answer, 0 being a 503."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {"/a.bin": BODY}
        self.breaks: list[int] = []
        self.ranges: list[str | None] = []  # as asked for, one a request
        self.knows_ranges = True
        self.told_length = True

    def item(self, name: str = "a.bin", checksum: str = "", unpack: bool = False) -> Download:
        url = f"http://127.0.0.1:{self.server_address[1]}/{name}"
        return Download(url, f"sub/{name}", checksum, unpack)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        content = self.server.files.get(self.path)
        limit = self.server.breaks.pop(0) if self.server.breaks else None
        if content is None or limit == 0:
            self.send_error(404 if content is None else 503)
            return
        start = int(re.findall(r"\d+", asked)[0]) if asked and self.server.knows_ranges else 0
        if start and start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if self.server.told_length:
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:][:limit])

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(download, "BACK_OFF_S", 0.001)
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def names(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_a_file_arrives_whole_and_once(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    item = server.item(checksum=MD5)
    fetch([item], tmp_path, lambda *report: seen.append(report))
    assert (tmp_path / "sub/a.bin").read_bytes() == BODY
    assert names(tmp_path) == ["sub/a.bin"]
    assert seen[-1] == ("a.bin", len(BODY), len(BODY))
    fetch([item], tmp_path)
    assert server.ranges == [None]


def test_a_broken_connection_is_taken_up_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.breaks = [100_000, 0, 250_000]
    fetch([server.item(checksum=MD5)], tmp_path)
    assert server.ranges == [None, "bytes=100000-", "bytes=100000-", "bytes=350000-"]
    assert (tmp_path / "sub/a.bin").read_bytes() == BODY


def test_another_run_goes_on_with_the_part(server: Server, tmp_path: Path) -> None:
    server.breaks = [100_000, *[0] * download.ATTEMPTS]
    with pytest.raises(UserError, match=r"a\.bin.*HTTP 503.*same command"):
        fetch([server.item(checksum=MD5)], tmp_path)
    assert names(tmp_path) == ["sub/a.bin.part"]
    fetch([server.item(checksum=MD5)], tmp_path)
    assert server.ranges[-1] == "bytes=100000-"
    assert (tmp_path / "sub/a.bin").read_bytes() == BODY


@pytest.mark.parametrize("told_length", [True, False])
def test_a_server_that_ignores_the_range_starts_again(
    server: Server, tmp_path: Path, told_length: bool
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.bin.part").write_bytes(BODY[:1000])
    server.knows_ranges, server.told_length = False, told_length
    fetch([server.item(checksum=MD5)], tmp_path)
    assert server.ranges == ["bytes=1000-"]
    assert (tmp_path / "sub/a.bin").read_bytes() == BODY


@pytest.mark.parametrize("part", [BODY, BODY + b"more"])
def test_a_part_with_nothing_to_follow(server: Server, tmp_path: Path, part: bytes) -> None:
    """416: the part is the whole file (it was killed before the rename), or something else."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.bin.part").write_bytes(part)
    fetch([server.item(checksum=MD5)], tmp_path)
    assert server.ranges == [f"bytes={len(part)}-", None][: 1 if part == BODY else 2]
    assert (tmp_path / "sub/a.bin").read_bytes() == BODY


def test_a_wrong_checksum_leaves_nothing(server: Server, tmp_path: Path) -> None:
    wrong = f"sha256:{'0' * 64}"
    right = f"sha256:{hashlib.sha256(BODY).hexdigest()}"
    with pytest.raises(UserError, match=rf"{right}.*{wrong}.*try again"):
        fetch([server.item(checksum=wrong)], tmp_path)
    assert names(tmp_path) == []


def test_a_damaged_file_is_replaced(server: Server, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.bin").write_bytes(BODY[:-1])
    fetch([server.item(checksum=MD5)], tmp_path)
    assert (tmp_path / "sub/a.bin").read_bytes() == BODY


def test_a_missing_file_names_the_address(server: Server, tmp_path: Path) -> None:
    item = server.item("gone.zip")
    with pytest.raises(UserError, match=f"{item.url}: HTTP 404"):
        fetch([item], tmp_path)
    assert len(server.ranges) == 1  # nothing to be had by trying again


def test_no_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(download, "BACK_OFF_S", 0.001)
    with pytest.raises(UserError, match=r"http://127\.0\.0\.1:9/a"):
        fetch([Download("http://127.0.0.1:9/a", "a")], tmp_path)


def test_a_full_disk_is_told_before_anything_is_fetched(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UserError, match=r"a\.bin\.part.* GB.*0\.0 GB.*--root"):
        fetch([server.item()], tmp_path)
    assert names(tmp_path) == []


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def test_an_archive_is_unpacked_once_and_may_then_go(server: Server, tmp_path: Path) -> None:
    server.files["/a.zip"] = zipped(**{"audio/one.wav": b"1", "audio/deep/two.wav": b"2"})
    item = server.item("a.zip", unpack=True)
    fetch([item], tmp_path)
    unpacked = ["sub/.unpacked-a.zip", "sub/audio/deep/two.wav", "sub/audio/one.wav"]
    assert names(tmp_path) == sorted([*unpacked, "sub/a.zip"])
    (tmp_path / "sub/a.zip").unlink()
    fetch([item], tmp_path)
    assert names(tmp_path) == unpacked
    newer = Download(item.url, item.path, f"md5:{hashlib.md5(server.files['/a.zip']).hexdigest()}")
    fetch([newer], tmp_path)
    assert len(server.ranges) == 2


def test_an_archive_that_fails_is_tried_again(server: Server, tmp_path: Path) -> None:
    whole = zipped(a=b"a" * 1000)
    server.files["/a.zip"] = whole[:-30]
    with pytest.raises(UserError, match=r"a\.zip.*download it again"):
        fetch([server.item("a.zip", unpack=True)], tmp_path)
    assert names(tmp_path) == ["sub/a.zip"]
    (tmp_path / "sub/a.zip").unlink()
    server.files["/a.zip"] = whole
    fetch([server.item("a.zip", unpack=True)], tmp_path)
    assert (tmp_path / "sub/a").read_bytes() == b"a" * 1000


def test_parts_are_not_fetched_again_once_their_archive_is_unpacked(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/.unpacked-a.zip").write_text("")
    fetch([server.item("a.z01")], tmp_path)
    assert server.ranges == []


def test_a_path_outside_the_root_is_refused(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--also_inside"):
        fetch([Download(server.item().url, "../a.bin")], tmp_path)
