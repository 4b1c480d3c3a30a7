"""audioinv export: a plain network at one descriptor, or of a task, as a torch.export program."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import torch
from torch import nn

from audioinv.base.errors import UserError
from audioinv.base.files import atomic_path
from audioinv.commands.using import adapted_in
from audioinv.conf.schema import Config
from audioinv.core.encoder import AmortisedEncoder
from audioinv.runs.build import load_run, run_of
from audioinv.tasks.clips import encoder_clips
from audioinv.tasks.ready import load_task
from audioinv.tasks.tuned import load_finetuned

log = logging.getLogger(__name__)


def main(
    config: Config,
    descriptor: str,
    out: Path,
    task: str = "",
    mode: str = "soft",
    finetuned: bool = False,
) -> None:
    """Writes windows (B, ...) -> features (B, d), or a task's outputs (B, m), to `out` (.pt2).

    The batch size is free. Features are those of `features.layers`; outputs are probabilities of
    the classes in the order of adapted.json, or values.
    """
    encoder, _, pack = load_run(config)
    network = network_of(config, encoder, descriptor, task, mode, finetuned)
    example = torch.zeros_like(encoder_clips(encoder, pack, [0, 0]))
    n_outputs = network(example).shape[1]
    program = torch.export.export(
        network, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},)
    )
    buffer = io.BytesIO()  # torch aborts the process if the disk is full while it writes a file
    torch.export.save(program, buffer)
    with atomic_path(out) as temporary:
        temporary.write_bytes(buffer.getbuffer())
    shape = ", ".join(map(str, example.shape[1:]))
    log.info("%s: (batch, %s) -> (batch, %d)", out, shape, n_outputs)


def network_of(
    config: Config, encoder: AmortisedEncoder, descriptor: str, task: str, mode: str, tuned: bool
) -> nn.Module:
    """The network that the words name.

    Raises:
        UserError: there is no such descriptor or task, or nothing was fine-tuned.
    """
    if not task:
        if tuned:
            raise UserError("--finetuned is of a task; give --task TASK, and --mode MODE")
        plain = encoder.at(descriptor)
        plain.layers = config.features.layers
        return plain
    where = run_of(config) / "encoder"
    folder = adapted_in(config, where, task, mode)
    return load_finetuned(folder / "finetune") if tuned else load_task(folder, where).network()
