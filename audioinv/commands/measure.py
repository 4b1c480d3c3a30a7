"""audioinv measure: how invariant the encoder is to each augmentation, at each descriptor."""

from __future__ import annotations

import logging

from audioinv.base.files import write_json
from audioinv.conf.schema import Config
from audioinv.data.rows import sample_rows, test_rows, training_rows
from audioinv.runs.build import encoder_clips, load_run, results_of
from audioinv.tasks.measure import measure_invariance

log = logging.getLogger(__name__)


def main(config: Config) -> None:
    """Writes RESULTS/measure.json from test clips; BatchNorm statistics are of training clips."""
    path = results_of(config) / "measure.json"
    if path.exists():
        log.info("%s: already done", path)
        return
    encoder, bank, pack = load_run(config)
    tested = sample_rows(test_rows(pack), config.measure.n_clips, config.seed, "measure")
    seen = sample_rows(
        training_rows(pack), config.measure.calibration_clips, config.seed, "calibration"
    )
    result = measure_invariance(
        encoder,
        bank,
        encoder_clips(encoder, pack, tested),
        encoder_clips(encoder, pack, seen),
        config.seed,
    )
    write_json(path, result)
    for name in result["names"]:
        log.info(
            "%s: on %.3f, off %.3f, gap %.3f",
            name, result["on"][name], result["off"][name], result["gap"][name],
        )  # fmt: skip
