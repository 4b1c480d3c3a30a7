"""audioinv statistics: mean and deviation of the front end's decibels over training clips."""

from __future__ import annotations

import logging

from audioinv.commands.build import frontend_of, need, pack_of
from audioinv.conf.schema import Config
from audioinv.core.files import read_json, write_json
from audioinv.data.dataset import check_rate, fixed_clips, training_rows

log = logging.getLogger(__name__)


def main(config: Config) -> None:
    """Writes {"mean", "std"} in dB to `statistics`, and what they were computed from."""
    path = need(config.statistics, "statistics", "exp/demo/statistics.json")
    config.statistics = None
    pack = pack_of(config)
    frontend = frontend_of(config)
    check_rate(pack, frontend.config["sample_rate"])
    source = {"frontend": frontend.config, "pack": pack.content_key}
    known = read_json(path) if path.exists() else None
    if isinstance(known, dict) and source.items() <= known.items():
        log.info("%s: already done", path)
        return
    rows = training_rows(pack)
    batches = (
        fixed_clips(pack, rows[k : k + 256], frontend.n_samples, frontend.repeats)
        for k in range(0, len(rows), 256)
    )
    values = frontend.fit(batches)
    write_json(path, {**values, **source})
    log.info("%s: mean %.2f dB, standard deviation %.2f dB", path, values["mean"], values["std"])
