"""audioinv export: a plain network at one descriptor, as a torch.export program."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import torch

from audioinv.base.files import atomic_path
from audioinv.conf.schema import Config
from audioinv.runs.build import load_run
from audioinv.tasks.clips import encoder_clips

log = logging.getLogger(__name__)


def main(config: Config, descriptor: str, out: Path) -> None:
    """Writes clips (B, ...) -> features (B, d), batch size free, to `out` (.pt2).

    The features are those of `features.layers`; a clip is one window of the encoder.
    """
    encoder, _, pack = load_run(config)
    plain = encoder.at(descriptor)
    plain.layers = config.features.layers
    example = torch.zeros_like(encoder_clips(encoder, pack, [0, 0]))
    n_features = plain(example).shape[1]
    program = torch.export.export(
        plain, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},)
    )
    buffer = io.BytesIO()  # torch aborts the process if the disk is full while it writes a file
    torch.export.save(program, buffer)
    with atomic_path(out) as temporary:
        temporary.write_bytes(buffer.getbuffer())
    shape = ", ".join(map(str, example.shape[1:]))
    log.info("%s: (batch, %s) -> (batch, %d)", out, shape, n_features)
