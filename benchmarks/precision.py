"""Precision and memory layout of a training step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from benchmarks.conditioning import NARROW, encoder_of, maps_of, resnet18, training_step
from benchmarks.measure import Comparison, Ratio, Setup


def precision(setup: Setup) -> Iterator[Comparison]:
    """A training step (forward, backward, AdamW) of a plain network on one view: single precision
    in torch's own layout, the same with channels last, and both under autocast to bfloat16 (what
    `precision=bf16-mixed` does).
    """
    sizes = {"ResNet-18, 1 s": (resnet18(setup), maps_of(setup))}
    if not setup.miniature:
        narrow = torch.randn(128, 1, 40, 33, device=setup.device)
        sizes["narrow ResNet-10 of the FSDD recipe"] = (NARROW, narrow)
    for name, (backbone, x) in sizes.items():
        steps = {
            f"{kind}{', channels last' if last else ''}": _step(setup, backbone, x, kind, last)
            for kind in ("float32", "bfloat16")
            for last in (False, True)
        }
        ratios = [Ratio(other, "float32") for other in list(steps)[1:]]
        yield Comparison(name, {"batch": len(x)}, steps, ratios)


def _step(
    setup: Setup, backbone: dict[str, Any], x: Tensor, kind: str, last: bool
) -> Callable[[], object]:
    encoder = encoder_of(setup, {"name": "none"}, backbone, tuple(x.shape[1:]))
    if last:
        encoder = encoder.to(memory_format=torch.channels_last)
        x = x.to(memory_format=torch.channels_last)
    step = training_step(encoder, x, torch.ones(7, device=setup.device))
    if kind == "float32":
        return step

    def autocast() -> None:
        with torch.autocast(setup.device.type, torch.bfloat16):
            step()

    return autocast
