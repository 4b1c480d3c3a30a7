"""audioinv measure: how invariant the encoder is to each augmentation, at each descriptor."""

from __future__ import annotations

import logging

from audioinv.base.files import write_json
from audioinv.conf.schema import Config
from audioinv.runs.build import load_run, results_of
from audioinv.tasks.measure import measure_pack

log = logging.getLogger(__name__)


def main(config: Config) -> None:
    """Writes RESULTS/measure.json from test clips; BatchNorm statistics are of training clips."""
    path = results_of(config) / "measure.json"
    if path.exists():
        log.info("%s: already done", path)
        return
    result = measure_pack(*load_run(config), config.measure, config.seed)
    write_json(path, result)
    for name in result["names"]:
        log.info(
            "%s: on %.3f, off %.3f, gap %.3f",
            name, result["on"][name], result["off"][name], result["gap"][name],
        )  # fmt: skip
