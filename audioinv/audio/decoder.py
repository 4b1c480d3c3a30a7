"""Decoding in a child process, so that a decoder which crashes in C takes no command with it.

A process that asks has one child, which lives as long as it does: a line of JSON names a file and
its parts, and for each part comes a line of JSON back, followed by the samples if there are any.
What decoders print on standard error is thrown away; what the house says comes back with the rest.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from audioinv.audio.faults import AudioError
from audioinv.audio.io import Part, digests, pcm_parts
from audioinv.audio.pcm import Pcm
from audioinv.base.errors import UserError

log = logging.getLogger(__name__)
Answer = tuple[dict[str, Any], bytes]


class _Child:
    """One process that decodes; made again when it has died, and in a process that was forked."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None
        self.owner = 0

    def ask(self, path: Path, question: dict[str, Any]) -> list[Answer]:
        """Every part's answer.

        Raises:
            AudioError: the child died on the file.
        """
        with self.lock:
            process = self._started()
            asked = {"folder": os.getcwd(), "path": os.fspath(path), **question}
            try:
                return list(_answers(process, asked))
            except (OSError, ValueError) as error:
                raise _died(path, _status(process)) from error
            except BaseException:  # half an answer is still to come
                self.stop()
                raise

    def _started(self) -> subprocess.Popen[bytes]:
        if self.process is None or self.owner != os.getpid() or self.process.poll() is not None:
            self.process, self.owner = _start(), os.getpid()
        return self.process

    def stop(self) -> None:
        """Ends the child, if it is this process' own."""
        if self.process is not None and self.owner == os.getpid():
            self.process.kill()
            self.process.wait()


_CHILD = _Child()
atexit.register(_CHILD.stop)


def check_parts(path: Path, parts: Sequence[Part]) -> list[tuple[str, int] | UserError]:
    """Hash and rate (Hz) of parts of a file, or what is wrong with each.

    Raises:
        AudioError: the decoder died.
    """
    answers = _CHILD.ask(path, {"parts": parts, "rate": None})
    found = {answer["part"]: _error(answer) or tuple(answer["found"]) for answer, _ in answers}
    return [found[number] for number in range(len(parts))]


def read_parts(path: Path, sample_rate: int, parts: Sequence[Part]) -> list[Pcm | UserError]:
    """16-bit mono at a rate in Hz, (n,), of parts of a file, or what is wrong with each.

    Raises:
        AudioError: the decoder died.
    """
    answers = _CHILD.ask(path, {"parts": parts, "rate": sample_rate})
    found = {a["part"]: _error(a) or np.frombuffer(data, np.int16) for a, data in answers}
    return [found[number] for number in range(len(parts))]


def _start() -> subprocess.Popen[bytes]:
    """A child that has imported what it needs.

    Raises:
        UserError: it has not.
    """
    command = [sys.executable, "-m", "audioinv.audio.decoder"]
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=paths)
    assert process.stdout is not None
    if process.stdout.readline() != b"ready\n":
        raise UserError(f"cannot start {' '.join(command)}; it says why on standard error")
    return process


def _answers(process: subprocess.Popen[bytes], question: dict[str, Any]) -> Iterator[Answer]:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(json.dumps(question).encode() + b"\n")
    process.stdin.flush()
    while True:
        answer = json.loads(process.stdout.readline())  # nothing, where the child has died
        if "said" in answer:
            for message in answer["said"]:
                log.warning("%s", message)
            return
        data = process.stdout.read(answer["bytes"])
        if len(data) < answer["bytes"]:
            raise OSError("the answer ends too early")
        yield answer, data


def _error(answer: dict[str, Any]) -> UserError | None:
    if "error" not in answer:
        return None
    kind, message = answer["kind"], answer["error"]
    return AudioError(kind, message) if kind else UserError(message)


def _status(process: subprocess.Popen[bytes]) -> int:
    """How a child ended that says no more."""
    try:
        return process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _died(path: Path, status: int) -> AudioError:
    name = signal.Signals(-status).name if status < 0 else f"status {status}"
    memory = ", perhaps for memory" if name == "SIGKILL" else ""
    return AudioError(
        "unreadable",
        f"{path}: the decoder died of it ({name}{memory}); encode it again or leave it out",
    )


def main() -> None:
    """Answers questions until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("audioinv").addHandler(handler)
    answers = os.fdopen(os.dup(1), "wb")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    answers.write(b"ready\n")
    answers.flush()
    os.dup2(silence, 2)
    for line in sys.stdin.buffer:
        _answer(json.loads(line), answers)
        answers.write(json.dumps({"said": said}).encode() + b"\n")
        answers.flush()
        said.clear()


def _answer(question: dict[str, Any], out: BinaryIO) -> None:
    os.chdir(question["folder"])
    path = Path(question["path"])
    parts = [(start, duration) for start, duration in question["parts"]]
    rate = question["rate"]
    made: Iterator[tuple[int, Any]]
    made = digests(path, parts) if rate is None else pcm_parts(path, rate, parts)
    for number, found in made:
        data = found.tobytes() if isinstance(found, np.ndarray) else b""
        answer: dict[str, Any] = {"part": number, "bytes": len(data)}
        if isinstance(found, UserError):
            answer |= {"kind": getattr(found, "kind", ""), "error": str(found)}
        elif rate is None:
            answer |= {"found": found}
        out.write(json.dumps(answer).encode() + b"\n" + data)


if __name__ == "__main__":
    main()
