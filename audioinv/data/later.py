"""Libraries that take long to import, imported when something of them is first used.

The command line lists every corpus, in its help and to find a mistyped word; neither waits for
tables that only `prepare` makes.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any


class _Later:
    """Stands for the module `name`."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)


if TYPE_CHECKING:
    import pandas as pandas
else:
    pandas = _Later("pandas")
