"""Modules of the HEAR API as backbones."""

from __future__ import annotations

from importlib import import_module

import torch
from torch import Tensor, nn

from audioinv.base.errors import UserError
from audioinv.core.backbone import OTHERS, TRUSTED_MODULES


class Hear(nn.Module):
    """Any module of the HEAR 2021 API (Turian et al., 2022) as a frozen feature extractor.

    Its front end is "waveform". The module's `load_model` and `get_scene_embeddings` are called.

    Args:
        module: an importable name. weights: a path for `load_model`; "" for its own default.

    Raises:
        UserError: a module that was not trusted by name, cannot be imported, or lacks the API.
    """

    def __init__(self, input_size: tuple[int, int, int], module: str, weights: str = "") -> None:
        super().__init__()
        if module not in TRUSTED_MODULES:
            raise UserError(
                f"the encoder runs code of the module '{module}'; if you trust it, add "
                f"trusted_modules=[{module}]"
            )
        try:
            api = import_module(module)
            self.model = api.load_model(*([weights] if weights else []))
            self.get_scene_embeddings = api.get_scene_embeddings
            self.dim = int(self.model.scene_embedding_size)
        except (ImportError, AttributeError) as error:
            raise UserError(f"'{module}' is no module of the HEAR API: {error}") from error

    @torch.no_grad()
    def forward(self, x: Tensor, layers: str = "last") -> Tensor:
        """Scene embeddings (B, dim) of waveforms `x` (B, 1, 1, T); `layers` makes no difference."""
        embeddings: Tensor = self.get_scene_embeddings(x[:, 0, 0], self.model)
        return embeddings


OTHERS["hear"] = Hear
