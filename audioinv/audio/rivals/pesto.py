"""PESTO, a self-supervised estimator of pitch (Riou et al., ISMIR 2023), of pesto-pitch."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, ListConfig
from omegaconf.base import ContainerMetadata, Metadata
from omegaconf.nodes import AnyNode
from torch import Tensor

from audioinv.audio.rivals.rival import Rival, imported
from audioinv.core.backbone import rows_of

WEIGHTS = "weights/mir-1k_g7.ckpt"
HOP_MS = 100.0  # of its frames; its own 10 ms cost ten times as much and say the same of a mean
HELD: list[Any] = [
    *(ContainerMetadata, Metadata, AnyNode, DictConfig, ListConfig),
    *(defaultdict, dict, list, int, Any),
]
"""What its checkpoint holds beside tensors; of nothing else is anything made."""


class Pesto(Rival):
    """Mean and deviation over time of what PESTO says of each frame.

    Levels: its constant-Q spectrum in dB, as level 0 of our encoders; the layer before the last,
    which still has some of the timbre; the distribution over 384 pitches (thirds of a semitone),
    for which it was trained. The last is what others use. The decoded pitch alone, one number,
    would tell no pitch class to a linear readout.

    Raises:
        UserError: pesto-pitch is not installed.
    """

    title = "pesto-pitch"
    sample_rate = 16000  # it takes any; speech and most of music lie below 8 kHz
    clip_s = 1.0
    short_clips = "repeat"  # as silence has no pitch

    def __init__(self) -> None:
        super().__init__()
        model = imported("pesto.model", "pesto-pitch")
        data = imported("pesto.data", "pesto-pitch")
        saved = _saved(Path(str(model.__file__)).with_name("weights").parent / WEIGHTS)
        own = saved["hparams"]
        spectrum = data.Preprocessor(HOP_MS, self.sample_rate, **saved["hcqt_params"])
        network = model.Resnet1d(**own["encoder"])
        self.network = model.PESTO(network, spectrum, dict(own["pitch_shift"]), own["reduction"])
        # The filters of the spectrum are made, not kept in the file.
        self.network.load_state_dict(saved["state_dict"], strict=False)
        self.eval()

    def levels(self, sounds: Tensor) -> list[Tensor]:
        """Features (B, 502), (B, 1314) and (B, 768) of sounds (B, T)."""
        spectrum = self.network.preprocessor(sounds)  # (B, frames, 1, bins)
        frames = self.network.crop_cqt(spectrum.flatten(0, 1))
        before: list[Tensor] = []
        hook = self.network.encoder.flatten.register_forward_hook(lambda *of: before.append(of[2]))
        try:
            pitches = self.network.encoder(frames)
        finally:
            hook.remove()
        shift = round(float(self.network.shift) * self.network.bins_per_semitone)
        each = (spectrum.flatten(0, 2), before[0], pitches.roll(-shift, -1))
        return [_over_time(frame, len(sounds)) for frame in each]


def _over_time(frames: Tensor, n: int) -> Tensor:
    """Mean and deviation (n, 2 d) over the frames (n t, d) of each sound."""
    return rows_of(frames.unflatten(0, (n, -1)).transpose(1, 2)[:, None])


def _saved(path: Path) -> dict[str, Any]:
    with torch.serialization.safe_globals(HELD):
        saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return saved
