"""Serves the page of `audioinv explore`, on this machine alone unless told otherwise.

A request chooses among the page, and pictures and sounds of its clips by their numbers; no name in
it reaches the file system. A file that is dropped is bounded in size, lies in a temporary file of
the server's own naming while it is read, and is then gone.
"""

from __future__ import annotations

import json
import logging
import re
import socket
import tempfile
import threading
from contextlib import suppress
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from audioinv.base.errors import UserError
from audioinv.data.modality import Shown
from audioinv.search.explore import Explorer
from audioinv.search.page import media_of, render

log = logging.getLogger(__name__)
MOST_BYTES = 32 << 20  # of a file that is dropped
SILENT_S, LONGEST_S = 10.0, 60.0  # between two bytes; of one connection
MOST_CONNECTIONS = 32  # at once; the others wait
MOST_FILES = 4  # in memory at once
KINDS = {"picture": "image/png", "sound": "audio/wav"}
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src 'self' data:; media-src 'self' data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


class Refused(Exception):
    """A request that is not answered: the status, and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Server(ThreadingHTTPServer):
    """The page of one explorer.

    Args:
        host, port: where it listens; port 0 takes one that is free.

    Raises:
        UserError: it cannot listen there.
    """

    daemon_threads = True
    request_queue_size = 128  # that wait: with five, the sixth is let in seconds later

    def __init__(
        self, explorer: Explorer, query: str = "", host: str = "127.0.0.1", port: int = 8000
    ) -> None:
        self.explorer = explorer
        self.page = render(explorer, query, served=True).encode()
        self.shown = lru_cache(maxsize=512)(explorer.show)
        self.free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self.held = threading.BoundedSemaphore(MOST_FILES)
        self.asking = threading.Lock()  # files are read one after the other
        self.host = host
        try:
            super().__init__((host, port), Handler)
        except (OSError, OverflowError) as error:
            raise UserError(f"cannot listen at {host}:{port} ({error}); give another") from error

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{self.host}:{self.server_address[1]}/"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Starts a thread for a connection, as soon as there are few enough."""
        self.free.acquire()
        try:
            super().process_request(request, client_address)
        except BaseException:
            self.free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answers one connection, whose time is bounded."""
        clock = threading.Timer(LONGEST_S, _close, [request])
        clock.daemon = True
        clock.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            clock.cancel()
            self.free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that breaks is no news."""
        log.debug("a connection from %s broke", client_address, exc_info=True)


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Server
    server_version, sys_version = "audioinv", ""
    timeout = SILENT_S

    def do_GET(self) -> None:
        """The page, or what is seen or heard of a clip."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """Neighbours of a file that is dropped."""
        self._answer(self._post)

    def log_message(self, format: str, *values: Any) -> None:
        """Nothing: what strangers write is not repeated on a terminal."""

    def _answer(self, make: Any) -> None:
        try:
            self._check_host()
            kind, body = make()
            status, body, part = self._part(body)
        except Refused as refused:
            status, kind, part = refused.status, "application/json", {}
            body = json.dumps({"error": str(refused)}).encode()
        self.send_response(status)
        headers = {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Content-Security-Policy": POLICY,
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cache-Control": "no-store",
            **part,
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _part(self, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        """What a Range asks for, without which Safari plays nothing; else the whole."""
        found = re.fullmatch(r"bytes=([0-9]{1,12})-([0-9]{0,12})", self.headers.get("Range", ""))
        if not found:
            return 200, body, {"Accept-Ranges": "bytes"}
        first, last = int(found[1]), min(int(found[2] or len(body)), len(body) - 1)
        if first > last:
            raise Refused(416, f"there are {len(body)} bytes")
        return 206, body[first : last + 1], {"Content-Range": f"bytes {first}-{last}/{len(body)}"}

    def _check_host(self) -> None:
        """Refuses pages of others that reach this one under a name of theirs, or post to it."""
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        port, own = self.server.server_address[1], ("127.0.0.1", "localhost")
        known = {f"{name}:{port}" for name in own} | (set(own) if port == 80 else set())
        if self.server.host in own and host not in known:
            raise Refused(403, f"this is {self.server.url}, ask it under that name")
        if origin is not None and origin != f"http://{host}":
            raise Refused(403, "requests come from the page itself")

    def _get(self) -> tuple[str, bytes]:
        if self.path == "/":
            return "text/html; charset=utf-8", self.server.page
        found = re.fullmatch(r"/(picture|sound)/([0-9]{1,9})", self.path)
        if not found or int(found[2]) >= len(self.server.explorer.rows):
            raise Refused(404, "there is /, /picture/NUMBER and /sound/NUMBER")
        data = getattr(self.server.shown(int(found[2])), found[1])
        if not data:
            raise Refused(404, f"this clip has no {found[1]}")
        return KINDS[found[1]], data

    def _post(self) -> tuple[str, bytes]:
        if self.path != "/query":
            raise Refused(404, "there is /query")
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"[0-9]{1,12}", length) or "Transfer-Encoding" in self.headers:
            raise Refused(411, "give the file's size as Content-Length")
        if not 0 < int(length) <= MOST_BYTES:
            raise Refused(413, f"a file has 1 byte to {MOST_BYTES >> 20} MiB; cut it shorter")
        if not self.server.held.acquire(blocking=False):
            raise Refused(503, "others are asking; try again in a minute")
        try:
            clip, near, place = self._asked(self._body(int(length)))
        finally:
            self.server.held.release()
        told = {"media": media_of(clip), "near": near, "place": place}
        return "application/json", json.dumps(told).encode()

    def _body(self, length: int) -> bytes:
        body = self.rfile.read(length)
        if len(body) < length:
            raise Refused(400, "the file ended early; send it again")
        return body

    def _asked(self, body: bytes) -> tuple[Shown, dict[str, list[int]], dict[str, list[int]]]:
        with self.server.asking, tempfile.TemporaryDirectory(prefix="audioinv-") as folder:
            path = Path(folder) / "file"
            path.write_bytes(body)
            try:
                return self.server.explorer.ask(path)
            except UserError as error:
                raise Refused(422, str(error).replace(str(path), "your file")) from error


def _close(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
