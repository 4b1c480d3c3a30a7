"""Serves the page of `audioinv explore`: itself, and pictures and sounds of its clips by number.

A file that is dropped is bounded in size, lies in a temporary file of the server's own naming while
it is read, and is then gone. How requests are answered is that of all pages: `report.serve`.
"""

from __future__ import annotations

import json
import re
import tempfile
import threading
from functools import lru_cache
from pathlib import Path

from audioinv.base.errors import UserError
from audioinv.data.modality import Shown
from audioinv.report.serve import PageHandler, PageServer, Refused
from audioinv.search.explore import Explorer
from audioinv.search.page import media_of, render

MOST_BYTES = 32 << 20  # of a file that is dropped
MOST_FILES = 4  # in memory at once
KINDS = {"picture": "image/png", "sound": "audio/wav"}


class Server(PageServer):
    """The page of one explorer.

    Args:
        host, port: as of `PageServer`.

    Raises:
        UserError: it cannot listen there.
    """

    def __init__(
        self, explorer: Explorer, query: str = "", host: str = "127.0.0.1", port: int = 8000
    ) -> None:
        self.explorer = explorer
        self.page = render(explorer, query, served=True).encode()
        self.shown = lru_cache(maxsize=512)(explorer.show)
        self.held = threading.BoundedSemaphore(MOST_FILES)
        self.asking = threading.Lock()  # files are read one after the other
        super().__init__(Handler, host, port)


class Handler(PageHandler):
    """Answers one request."""

    server: Server

    def do_POST(self) -> None:
        """Neighbours of a file that is dropped."""
        self.answer(self._post)

    def get(self) -> tuple[str, bytes]:
        """The page, or what is seen or heard of a clip."""
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
