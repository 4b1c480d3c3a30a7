"""How frozen encoders are judged: one module a protocol, each with an ID that its rows carry.

`rows(context)` yields every row to be made as (folder, function that makes the row), so that
`audioinv evaluate` can leave out those that are there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audioinv.commands.features import TaskFeatures
from audioinv.conf.schema import Config
from audioinv.core.bank import AugmentationBank
from audioinv.core.encoder import AmortisedEncoder
from audioinv.data.pack import Pack

Row = tuple[Path, Callable[[], dict[str, Any]]]
Rows = Iterator[Row]


@dataclass(frozen=True)
class Context:
    """What a protocol works on: a finished run, a pack, and the folder for results."""

    config: Config
    encoder: AmortisedEncoder
    bank: AugmentationBank
    pack: Pack
    features: TaskFeatures
    out: Path
