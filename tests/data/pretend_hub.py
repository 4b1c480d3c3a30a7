"""A Hugging Face hub on this machine: as much of its API as push and pull ask for."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

COMMIT = "1" * 40


class Hub(BaseHTTPRequestHandler):
    """Repositories by name, each file by its own; `asked` are the files that were downloaded."""

    repos: ClassVar[dict[str, dict[str, bytes]]] = {}
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self._file(body=True) if "/resolve/" in self.path else self._repository()

    def do_HEAD(self) -> None:
        self._file(body=False)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/api/repos/create":
            told = json.loads(body)
            owner = told.get("organization") or "me"
            name = f"{owner}/{told['name']}"
            self.repos.setdefault(name, {})
            return self._json({"url": f"http://{self.headers['Host']}/{name}", "id": name})
        if self.path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        name = "/".join(self.path.split("/")[3:5])
        if "/preupload/" in self.path:
            files = [file["path"] for file in json.loads(body)["files"]]
            modes = [{"path": f, "uploadMode": "regular", "shouldIgnore": False} for f in files]
            return self._json({"files": modes})
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                content = base64.b64decode(line["value"]["content"])
                self.repos[name][line["value"]["path"]] = content
        url = f"http://{self.headers['Host']}/{name}/commit/{COMMIT}"
        return self._json({"success": True, "commitOid": COMMIT, "commitUrl": url})

    def _repository(self) -> None:
        parts = self.path.split("?")[0].split(
            "/"
        )  # /api/models/OWNER/NAME/revision/main, or /tree/
        files = self.repos.get("/".join(parts[3:5]))
        if files is None:
            return self._json({"error": "Repository not found"}, 404)
        if "tree" in parts:
            entries = [{"type": "file", "path": f, "size": len(c), "oid": _hash(c)}
                       for f, c in files.items()]  # fmt: skip
            return self._json(entries)
        siblings = [{"rfilename": file} for file in files]
        return self._json({"id": "/".join(parts[3:5]), "sha": COMMIT, "siblings": siblings})

    def _file(self, body: bool) -> None:
        _, owner, name, _, _, file = self.path.split("?")[0].split("/", 5)
        content = self.repos[f"{owner}/{name}"][file]
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{_hash(content)}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.asked.append(file)
            self.wfile.write(content)

    def _json(self, value: Any, status: int = 200) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if status == 404:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


def _hash(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


@contextmanager
def pretend_hub() -> Iterator[tuple[str, type[Hub]]]:
    """Its address, and what it holds."""
    kind = type("OneHub", (Hub,), {"repos": {}, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", kind
    server.shutdown()
    server.server_close()
