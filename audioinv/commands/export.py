"""audioinv export: a plain network at one descriptor, or of a task, as torch.export or ONNX."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from audioinv.base.errors import UserError
from audioinv.base.files import atomic_path
from audioinv.base.near import unknown
from audioinv.commands.using import adapted_in
from audioinv.conf.schema import Config
from audioinv.core.encoder import AmortisedEncoder
from audioinv.core.onnx import TOLERANCE, AnyDescriptor, difference, onnx_of
from audioinv.runs.build import load_run, run_of
from audioinv.tasks.clips import encoder_clips
from audioinv.tasks.ready import load_task
from audioinv.tasks.tuned import load_finetuned

FORMATS = ("pt2", "onnx")
INPUT = "input"
log = logging.getLogger(__name__)


def main(
    config: Config,
    descriptor: str,
    out: Path,
    task: str = "",
    mode: str = "soft",
    finetuned: bool = False,
    format: str = "",
) -> None:
    """Writes windows (B, ...) -> features (B, d), or a task's outputs (B, m), to `out`.

    The batch size is free. Features are those of `features.layers`; outputs are probabilities of
    the classes in the order of adapted.json, or values.

    Args:
        descriptor: as text, or "input": the network takes it beside the windows, (B, K).
        format: pt2 or onnx; "" goes by the ending of `out`.

    Raises:
        UserError: another format, or what `network_of` and `onnx_of` refuse.
    """
    kind = format or out.suffix.removeprefix(".")
    if kind not in FORMATS:
        raise unknown("--format, or the ending of --out,", kind, FORMATS)
    encoder, _, pack = load_run(config)
    network = network_of(config, encoder, descriptor, task, mode, finetuned)
    inputs = {"clips": encoder_clips(encoder, pack, [0, len(pack) - 1])}
    if isinstance(network, AnyDescriptor):
        inputs["descriptor"] = torch.stack([encoder.space.all_on(), encoder.space.parse("none")])
    made = as_onnx(network, inputs) if kind == "onnx" else as_program(network, inputs)
    with atomic_path(out) as temporary:
        temporary.write_bytes(made)
    wanted = ", ".join(f"{name} (batch, {_shape(x[0])})" for name, x in inputs.items())
    log.info("%s: %s -> (batch, %d)", out, wanted, network(*inputs.values()).shape[1])


def _shape(x: Tensor) -> str:
    return ", ".join(map(str, x.shape))


def as_program(network: nn.Module, inputs: Mapping[str, Tensor]) -> bytes:
    """A torch.export program; the batch size is free."""
    batch = torch.export.Dim("batch")
    shapes = ({0: batch},) * len(inputs)
    program = torch.export.export(network, tuple(inputs.values()), dynamic_shapes=shapes)
    buffer = io.BytesIO()  # torch aborts the process if the disk is full while it writes a file
    torch.export.save(program, buffer)
    return buffer.getvalue()


def as_onnx(network: nn.Module, inputs: Mapping[str, Tensor]) -> bytes:
    """An ONNX model, compared with torch on the inputs; batch size and length are free."""
    model = onnx_of(network, inputs)
    apart = difference(model, network, inputs)
    log.info("onnxruntime and torch differ by at most %.1g on two clips", apart)
    if not apart <= TOLERANCE:
        log.warning("that is more than %g: compare them on clips of yours", TOLERANCE)
    return model


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
        if descriptor == INPUT:
            return AnyDescriptor(encoder, config.features.layers).eval()
        plain = encoder.at(descriptor)
        plain.layers = config.features.layers
        return plain
    where = run_of(config) / "encoder"
    folder = adapted_in(config, where, task, mode)
    return load_finetuned(folder / "finetune") if tuned else load_task(folder, where).network()
