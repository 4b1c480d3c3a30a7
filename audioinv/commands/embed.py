"""audioinv embed: features of every clip of a pack at one descriptor, as a Parquet table."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from audioinv.commands.build import encoder_clips, load_run
from audioinv.commands.features import calibration_maps
from audioinv.conf.schema import Config
from audioinv.core.features import embed
from audioinv.core.files import atomic_path

log = logging.getLogger(__name__)


def main(config: Config, descriptor: str, out: Path) -> None:
    """Writes the pack's manifest columns and a `feature` column (list of d floats) to `out`."""
    encoder, _, pack = load_run(config)
    corner = encoder.space.parse(descriptor)
    maps = calibration_maps(encoder, pack, config.features.calibration_clips)
    plain = encoder.at(corner, maps.split(256) if len(maps) else ())
    parts = []
    for start in range(0, len(pack), 256):
        rows = range(start, min(start + 256, len(pack)))
        parts.append(embed(plain, encoder_clips(encoder, pack, rows),
                           config.features.layers).numpy())  # fmt: skip
    features = np.concatenate(parts)
    table = pa.Table.from_pandas(pack.frame, preserve_index=False)
    column = pa.FixedSizeListArray.from_arrays(pa.array(features.ravel()), features.shape[1])
    with atomic_path(out) as temporary:
        pq.write_table(table.append_column("feature", column), temporary)
    log.info("%s: %d clips, %d features, descriptor %s", out, *features.shape, descriptor)
