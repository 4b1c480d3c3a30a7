"""Tensors on disk, written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from audioinv.base.files import atomic_path


def device_of(module: nn.Module) -> torch.device:
    """Where its tensors are; the CPU of one without any."""
    first = next(chain(module.parameters(), module.buffers()), None)
    return torch.device("cpu") if first is None else first.device


def save_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Writes `tensors` to a safetensors file, atomically; tensors may share memory."""
    own = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    with atomic_path(path) as temporary:
        try:
            save_file(own, temporary, dict(metadata) if metadata else None)
        except SafetensorError as error:  # how it reports a full disk
            raise OSError(str(error)) from error
