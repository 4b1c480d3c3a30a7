"""What a pack holds of each kind of file: how a row of a manifest becomes an array.

Nothing here imports torch, so that the processes which build packs start quickly.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Samples = NDArray[Any]


class Media(Protocol):
    """How clips are read; an object that can be pickled.

    `unit` names what `size` is: the one number that all clips of a pack share.
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
