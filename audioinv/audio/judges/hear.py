"""The HEAR 2021 API (Turian et al., 2022), by which hear-validator and hear-eval-kit judge.

hear-validator audioinv.audio.judges.hear -m "exp/mine/amortised_s0/encoder#-pitch_shift"
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from audioinv.audio.judges.judged import Judged
from audioinv.base.errors import UserError

HOP_S = 0.05  # HEAR asks for 50 ms at most


class HearModel(Judged):
    """A `Judged` with the attributes that HEAR reads: sizes, and `sample_rate` in Hz."""

    scene_embedding_size: int
    timestamp_embedding_size: int


def load_model(model_file_path: str = "", descriptor: Any = None) -> HearModel:
    """The encoder in a folder, or of the hub.

    Args:
        model_file_path: FOLDER or OWNER/NAME; with #DESCRIPTOR after it, for kits that hand over
            nothing else.
        descriptor: goes before that; None takes all-on.

    Raises:
        UserError: no such encoder or descriptor.
    """
    if not model_file_path:
        raise UserError(
            "HEAR needs an encoder; give its folder as the model's file, with a descriptor after "
            "it if you like: exp/mine/amortised_s0/encoder#-pitch_shift"
        )
    where, _, told = model_file_path.partition("#")
    model = HearModel(where, descriptor or told or "all", shows_labels=False)
    model.scene_embedding_size = model.timestamp_embedding_size = model.size
    return model


def get_scene_embeddings(audio: Tensor, model: HearModel) -> Tensor:
    """Features (n, d) of whole sounds (n, T) in [-1, 1]."""
    return model.embed(audio)


def get_timestamp_embeddings(audio: Tensor, model: HearModel) -> tuple[Tensor, Tensor]:
    """Features (n, t, d) of windows of sounds (n, T), and the middle of each in ms, (n, t)."""
    features = model.frames(audio, HOP_S)
    times = 1000 * HOP_S * torch.arange(features.shape[1], device=audio.device)
    return features, times.expand(len(audio), -1)
