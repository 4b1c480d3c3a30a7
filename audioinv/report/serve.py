"""How a page of the house is served: on this machine alone unless told otherwise.

Connections are few, bounded in time, and asked under the server's own name; no name in a request
reaches the file system.
"""

from __future__ import annotations

import json
import logging
import re
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from audioinv.base.errors import UserError

log = logging.getLogger(__name__)
SILENT_S, LONGEST_S = 10.0, 60.0  # between two bytes; of one connection
MOST_CONNECTIONS = 32  # at once; the others wait
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


class PageServer(ThreadingHTTPServer):
    """Answers by a `PageHandler`.

    Args:
        handler: answers one request.
        host, port: where it listens; port 0 takes one that is free.

    Raises:
        UserError: it cannot listen there.
    """

    daemon_threads = True
    request_queue_size = 128  # that wait: with five, the sixth is let in seconds later

    def __init__(
        self, handler: type[PageHandler], host: str = "127.0.0.1", port: int = 8000
    ) -> None:
        self.free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self.host = host
        try:
            super().__init__((host, port), handler)
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


class PageHandler(BaseHTTPRequestHandler):
    """Answers one request; a subclass says by `get` what there is."""

    server: PageServer
    server_version, sys_version = "audioinv", ""
    timeout = SILENT_S

    def get(self) -> tuple[str, bytes]:
        """What is at `self.path`: its content type, and itself.

        Raises:
            Refused: there is nothing.
        """
        raise NotImplementedError

    def do_GET(self) -> None:
        """Answers what `get` gives."""
        self.answer(self.get)

    def log_message(self, format: str, *values: Any) -> None:
        """Nothing: what strangers write is not repeated on a terminal."""

    def answer(self, make: Callable[[], tuple[str, bytes]]) -> None:
        """Answers what `make` gives, or why it refuses."""
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


def _close(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
