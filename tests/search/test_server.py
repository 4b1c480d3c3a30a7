"""The server: the page and its clips, nothing else; whatever is asked, it goes on."""

from __future__ import annotations

import http.client
import json
import random
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from audioinv.base.errors import UserError
from audioinv.report import serve
from audioinv.search.explore import Explorer
from audioinv.search.server import MOST_FILES, Handler, Server


def ask(
    server: Server, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, bytes, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=30)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, named)
    answer = connection.getresponse()
    found = answer.status, answer.read(), answer.headers
    connection.close()
    return found


def test_the_page_and_its_clips(server: Server, shown: Explorer) -> None:
    status, page, headers = ask(server, "GET", "/")
    assert status == 200 and b"What should count as alike?" in page
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    clip = shown.show(3)
    assert ask(server, "GET", "/sound/3")[:2] == (200, clip.sound)
    assert ask(server, "GET", "/picture/3")[:2] == (200, clip.picture)


def test_a_part_of_a_sound(server: Server, shown: Explorer) -> None:
    sound = shown.show(3).sound
    for asked, status, part in (
        ("bytes=0-", 206, sound),
        ("bytes=10-19", 206, sound[10:20]),
        ("bytes=5-99999999", 206, sound[5:]),
        ("bytes=x", 200, sound),
    ):
        assert ask(server, "GET", "/sound/3", Range=asked)[:2] == (status, part)
    assert ask(server, "GET", "/sound/3", Range="bytes=99999999-")[0] == 416


@pytest.mark.parametrize(
    "path",
    ["/sound/30", "/sound/-1", "/sound/../../etc/passwd", "//etc/passwd", "/sound/%33", "/x", ""],
)
def test_there_is_nothing_else(server: Server, path: str) -> None:
    assert ask(server, "GET", path or "*")[0] == 404


def test_a_file_that_is_dropped(server: Server, shown: Explorer) -> None:
    pack = shown.index.pack
    (root,) = pack.directory.parent.glob("audio")
    sound = (root / pack.frame["path"][5]).read_bytes()
    status, body, _ = ask(server, "POST", "/query", sound)
    told = json.loads(body)
    assert status == 200 and told["media"]["s"] == 0.4
    assert all(near[0] == 5 for near in told["near"].values())
    assert told["near"]["01"][1:] == shown.near["01"][5][:9].tolist()


def test_of_a_long_file_the_first_part_counts(server: Server, tmp_path: Path) -> None:
    import numpy as np
    import soundfile

    path = tmp_path / "long.flac"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(8000 * 40), 8000)
    status, body, _ = ask(server, "POST", "/query", path.read_bytes())
    assert status == 200 and json.loads(body)["media"]["s"] == 30.0


@pytest.mark.parametrize(
    ("body", "headers", "status", "told"),
    [
        (b"", {}, 413, "a file has 1 byte to 32 MiB"),
        (b"no sound", {}, 422, "your file"),
        (b"x", {"Content_Length": "99999999999"}, 413, "32 MiB"),
        (b"x", {"Content_Length": "-5"}, 411, "Content-Length"),
        (b"x", {"Origin": "http://evil.example"}, 403, "from the page itself"),
        (b"x", {"Host": "evil.example"}, 403, "under that name"),
    ],
)
def test_what_is_refused(
    server: Server, body: bytes, headers: dict[str, str], status: int, told: str
) -> None:
    found, answer, _ = ask(server, "POST", "/query", body, **headers)
    assert found == status and told in json.loads(answer)["error"]
    assert tempfile.gettempdir() not in answer.decode()


def hostile(draw: random.Random) -> bytes:
    """A request that nobody should send."""
    noise = draw.randbytes(draw.randrange(1, 400))
    path = draw.choice(
        ["/" + "../" * 30 + "etc/passwd", "/sound/" + "9" * 500, "/picture/0%00", "/" + "a" * 70000,
         "/sound/1;ls", "file:///etc/passwd", "/query", "/sound/٣", "http://evil/", "\\..\\x"]
    )  # fmt: skip
    method = draw.choice(["GET", "POST", "PUT", "DELETE", "HEAD", "TRACE", "G\x00T", "CONNECT"])
    length = draw.choice(["0", "-1", "1e9", "33554433", str(len(noise)), "5000", "９", ""])
    kinds = [
        noise,
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode(),
        f"{method} {path} HTTP/9.9\r\n".encode() + b"X: y\r\n" * 200 + b"\r\n",
        b"POST /query HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n" + noise,
        f"POST /query HTTP/1.1\r\nHost: HERE\r\nContent-Length: {length}\r\n\r\n".encode() + noise,
        f"{method} / HTTP/1.1\r\nHost: HERE\r\nX: {'z' * 70000}\r\n\r\n".encode(),
    ]
    return draw.choice(kinds)


def test_a_thousand_hostile_requests(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Handler, "timeout", 0.05)
    port, draw = server.server_address[1], random.Random(0)
    before = set(Path(tempfile.gettempdir()).glob("audioinv-*"))
    leaked = 0
    for _ in range(1000):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            try:
                request = hostile(draw).replace(b"HERE", f"127.0.0.1:{port}".encode())
                connection.sendall(request)
                if draw.random() < 0.7:
                    leaked += b"root:" in connection.recv(65536)
            except OSError:
                continue  # it was thrown out
    assert not leaked
    assert ask(server, "GET", "/")[0] == 200
    assert set(Path(tempfile.gettempdir()).glob("audioinv-*")) <= before


def test_many_who_say_nothing_do_not_keep_others_waiting(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Handler, "timeout", 0.5)
    monkeypatch.setattr(serve, "LONGEST_S", 2.0)
    where = ("127.0.0.1", server.server_address[1])
    silent = [socket.create_connection(where) for _ in range(2 * serve.MOST_CONNECTIONS)]
    assert ask(server, "GET", "/")[0] == 200
    for connection in silent:
        connection.close()


def test_few_files_are_held_at_once(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Handler, "timeout", 1.0)
    port = server.server_address[1]
    head = f"POST /query HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Length: 9999\r\n\r\nxx"
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(MOST_FILES)]
    for connection in slow:
        connection.sendall(head.encode())
    time.sleep(0.3)
    assert ask(server, "POST", "/query", b"x")[0] == 503
    for connection in slow:
        connection.close()
    time.sleep(1.0)
    assert ask(server, "POST", "/query", b"x")[0] == 422


def test_this_machine_alone_unless_told_otherwise(server: Server, shown: Explorer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    with pytest.raises(UserError, match="cannot listen at"):
        Server(shown, port=server.server_address[1])
    with pytest.raises(UserError, match="cannot listen at"):
        Server(shown, port=99999)
