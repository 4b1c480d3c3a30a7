"""Engines by name: where long work on many files is done."""

from __future__ import annotations

from audioinv.base.errors import UserError
from audioinv.base.near import unknown
from audioinv.data.on_ray import OnRay
from audioinv.data.parallel import Engine, Local

ENGINES = ("local", "ray")


def engine_of(name: str, workers: int, address: str | None = None) -> Engine:
    """The engine `name` with so many workers; `address` is that of a Ray cluster.

    Raises:
        UserError: no such engine, Ray is not installed, or an address without Ray.
    """
    if name not in ENGINES:
        raise unknown("engine", name, ENGINES)
    if name == "local":
        if address is not None:
            raise UserError(f"ray_address is {address}; give engine ray with it")
        return Local(workers)
    return OnRay(workers, address)
