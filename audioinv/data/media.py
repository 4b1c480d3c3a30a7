"""What a pack holds of each kind of file: how a row of a manifest becomes an array.

Nothing here imports torch, so that the processes which build packs start quickly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from audioinv.base.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

Samples = NDArray[Any]


class Media(Protocol):
    """How clips are read; an object that can be pickled.

    `unit` names what `size` is: the one number that all clips of a pack share. Where several clips
    of one file are had for little more than one, a media also has
    `read_all(path, rows) -> [samples or the UserError of each row]`.
    """

    @property
    def size(self) -> int: ...

    @property
    def unit(self) -> str: ...

    @property
    def dtype(self) -> Any: ...

    def n_bytes(self, frame: pd.DataFrame) -> NDArray[Any]:
        """About how many bytes each row of a manifest will take, (n,)."""
        ...

    def read(self, path: Path, row: Mapping[str, Any]) -> Samples:
        """The samples (n,) of a row.

        Raises:
            UserError: the file cannot be read.
        """
        ...


def read_all(
    media: Media, path: Path, rows: Sequence[Mapping[str, Any]]
) -> list[Samples | UserError]:
    """The samples (n,) of rows of one file, or what is wrong with each."""
    at_once = getattr(media, "read_all", None)
    try:
        if at_once is not None:
            return list(at_once(path, rows))
    except UserError as error:
        return [error for _ in rows]
    return [_read(media, path, row) for row in rows]


def _read(media: Media, path: Path, row: Mapping[str, Any]) -> Samples | UserError:
    try:
        return media.read(path, row)
    except UserError as error:
        return error
