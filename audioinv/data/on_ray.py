"""Work on Ray, on this machine or a cluster: the engine behind `--engine ray`."""

from __future__ import annotations

import os
import platform
import socket
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from audioinv.base.errors import UserError
from audioinv.base.files import write_text
from audioinv.base.version import __version__
from audioinv.data.parallel import Item, Result

RETRIES = 3  # of a piece whose worker died; an error of ours is not tried again
PATIENCE_S = 10.0  # for a cluster to answer
OBJECT_STORE_BYTES = 256 << 20  # of a local Ray: pieces and results are small


@dataclass(frozen=True)
class OnRay:
    """One Ray task a piece, `workers` at a time; a piece whose worker dies goes to another.

    Args:
        workers: pieces in work at once.
        address: of a cluster, such as "10.0.0.1:6379" or "auto"; None takes RAY_ADDRESS, and where
            that is not set a Ray of its own on this machine.

    Raises:
        UserError: Ray is not installed.
    """

    workers: int = 1
    address: str | None = None

    def __post_init__(self) -> None:
        _ray()

    def run(
        self, function: Callable[[Item], Result], items: Sequence[Item], folder: Path | None
    ) -> Iterator[tuple[int, Result]]:
        """As `data.parallel.Engine` says.

        Raises:
            UserError: no cluster at the address, a worker that does not see `folder` or has another
                version of audioinv, or a piece whose workers died RETRIES times and once more.
        """
        with _connected(self), _token(folder) as token:
            ray = _ray()
            task = ray.remote(num_cpus=1, max_retries=RETRIES)(_work)
            left = iter(enumerate(items))
            waiting: dict[Any, int] = {}
            while True:
                for number, item in islice(left, self.workers - len(waiting)):
                    waiting[task.remote(function, item, token, __version__)] = number
                if not waiting:
                    return
                ready, _ = ray.wait(list(waiting))
                yield waiting.pop(ready[0]), _result(ready[0])


def _ray() -> Any:
    try:
        return import_module("ray")
    except ModuleNotFoundError as error:
        raise UserError("engine ray needs Ray; install it: pip install 'audioinv[ray]'") from error


def _work(function: Callable[[Item], Result], item: Item, token: Path | None, version: str) -> Any:
    """On a worker: `function(item)`, if the worker sees and is what it must."""
    if __version__ != version:
        raise UserError(
            f"{platform.node()} has audioinv {__version__}, the machine that asks "
            f"{version}; install the same on both"
        )
    if token is not None and not token.exists():
        raise UserError(
            f"{platform.node()} does not see {token.parent} as the machine that asks does; give a "
            "folder on a file system that all machines share"
        )
    return function(item)


def _result(reference: Any) -> Any:
    ray = _ray()
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, UserError):
            raise error.cause from None
        if isinstance(error.cause, ray.exceptions.RaySystemError):
            raise UserError(
                f"a worker cannot take its piece ({str(error.cause).splitlines()[0]}); install the "
                "same audioinv, with what it needs, on every machine"
            ) from error
        raise
    except ray.exceptions.RayError as error:
        raise UserError(
            f"a worker died {RETRIES + 1} times over the same piece, perhaps for memory; use fewer "
            f"workers ({str(error).splitlines()[0]})"
        ) from error


@contextmanager
def _connected(engine: OnRay) -> Iterator[None]:
    """Ray at the engine's address, or one of its own; let go of in the end, if begun here."""
    ray = _ray()
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report its use to its makers
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    address = engine.address or os.environ.get("RAY_ADDRESS") or "local"
    if address == "local":
        options |= {"num_cpus": engine.workers, "include_dashboard": False}
        options |= {"object_store_memory": OBJECT_STORE_BYTES}
    try:
        _knock(address)
        ray.init(address=address, **options)
    except (OSError, ValueError, OverflowError, RuntimeError) as error:
        raise UserError(f"cannot reach Ray at {address}: {str(error).splitlines()[0]}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Raises an OSError where nobody listens at "[ray://]host:port": Ray would try for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if port.isdigit():
        socket.create_connection((host, int(port)), PATIENCE_S).close()


@contextmanager
def _token(folder: Path | None) -> Iterator[Path | None]:
    """A file in `folder` that a worker sees if it sees the same folder."""
    if folder is None:
        yield None
        return
    path = folder.absolute() / f".shared.{uuid.uuid4().hex}.tmp"
    write_text(path, "")
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
