"""audioinv measure: how invariant the encoder is to each augmentation, at each descriptor."""

from __future__ import annotations

import logging

from audioinv.base.files import write_json
from audioinv.commands.judging import load_on_device, made_before, tell_of_windows, values_of
from audioinv.conf.schema import Config
from audioinv.runs.build import results_of, run_of
from audioinv.runs.folder import encoder_key
from audioinv.tasks.measure import measure_pack
from audioinv.tasks.settings.features import FeatureConfig

log = logging.getLogger(__name__)
READ = ("measure.n_clips", "measure.n_learn", "seed")
"""It reads no key of `features`: a clip is its first window, at the last layer."""


def main(config: Config) -> None:
    """Writes RESULTS/measure.json from test clips.

    Raises:
        UserError: one is there, of another encoder or with other settings.
    """
    path, settings = results_of(config) / "measure.json", values_of(config, READ)
    if path.exists():
        made_before(path, config, settings)
        log.info("%s: already done", path)
        return
    encoder, bank, pack = load_on_device(config)
    tell_of_windows(encoder, pack, FeatureConfig(hop_s=0.0))
    result = measure_pack(encoder, bank, pack, config.measure, config.seed)
    made = {"encoder": encoder_key(run_of(config)), "settings": settings}
    write_json(path, {**result, **made})
    for name in result["names"]:
        log.info(
            "%s: on %.3f, off %.3f, gap %.3f",
            name, result["on"][name], result["off"][name], result["gap"][name],
        )  # fmt: skip
