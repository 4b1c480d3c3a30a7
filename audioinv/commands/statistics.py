"""audioinv statistics: mean and deviation, over training clips, that the front end takes away."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from audioinv.base.files import read_json, write_json
from audioinv.conf.schema import Config
from audioinv.data.fitting import batches_at
from audioinv.data.modality import modality_of
from audioinv.data.rows import sample_rows, some_training_rows
from audioinv.runs.build import frontend_of, need, source_of

FROM_SHARDS = 10_000  # clips
log = logging.getLogger(__name__)


def main(config: Config) -> None:
    """Writes {"mean", "std"} to `statistics`, as the front end computes them, and what from."""
    path = need(config.statistics, "statistics", "exp/demo/statistics.json")
    pack = source_of(config)
    modality = modality_of(config.modality)
    frontend: Any = frontend_of(replace(config, statistics=None))
    modality.check(pack, frontend)
    source = {"frontend": frontend.config, "pack": pack.content_key}
    known = read_json(path) if path.exists() else None
    if isinstance(known, dict) and source.items() <= known.items():
        log.info("%s: already done", path)
        return
    rows = some_training_rows(pack)
    if config.shards is not None:  # every clip has to be decoded
        rows = sorted(sample_rows(rows, FROM_SHARDS, 0, "statistics"))
    values = frontend.fit_statistics(batches_at(rows, pack, frontend))
    write_json(path, {**values, **source})
    log.info("%s: mean %s, standard deviation %s", path, values["mean"], values["std"])
