"""Tensors on disk, written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from audioinv.base.files import atomic_path


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
