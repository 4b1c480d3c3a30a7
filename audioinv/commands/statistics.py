"""audioinv statistics: mean and deviation, over training clips, that the front end takes away."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from torch import Tensor

from audioinv.base.files import read_json, write_json
from audioinv.base.progress import counted
from audioinv.conf.schema import Config
from audioinv.data.fitting import batches_at, rows_to_fit
from audioinv.data.modality import modality_of
from audioinv.data.pack import Pack
from audioinv.runs.build import RAW, frontend_of, need, source_of

log = logging.getLogger(__name__)


def main(config: Config) -> None:
    """Writes {"mean", "std"} to `statistics`, as the front end computes them, and what from."""
    given = None if config.statistics == RAW else config.statistics
    path = need(given, "statistics", "exp/demo/statistics.json")
    pack = source_of(config)
    frontend: Any = frontend_of(replace(config, statistics=None))
    modality_of(config.modality).check(pack, frontend)
    source = {"frontend": frontend.config, "pack": pack.content_key}
    known = read_json(path) if path.exists() else None
    if isinstance(known, dict) and source.items() <= known.items():
        log.info("%s: already done", path)
        return
    values = fitted(frontend, pack)
    write_json(path, {**values, **source})
    log.info("%s: mean %s, standard deviation %s", path, values["mean"], values["std"])


def fitted(frontend: Any, pack: Pack) -> dict[str, Any]:
    """Mean and deviation of the training clips, which the front end keeps.

    Raises:
        UserError: there are none, or they are all alike.
    """
    rows = rows_to_fit(pack)
    with counted("statistics", "clips") as progress:
        batches = _counted(batches_at(rows, pack, frontend), len(rows), progress)
        values: dict[str, Any] = frontend.fit_statistics(batches)
    return values


def _counted(
    batches: Iterable[Tensor], total: int, progress: Callable[[int, int], None]
) -> Iterator[Tensor]:
    done = 0
    for x in batches:
        yield x
        done += len(x)
        progress(done, total)
