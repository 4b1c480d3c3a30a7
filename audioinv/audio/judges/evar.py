"""An encoder as EVAR wants it (Niizumi et al., 2022): what its BaseAudioRepr does.

In EVAR's folder, evar/ar_audioinv.py is

    from audioinv.audio.judges.evar import AR_Audioinv

lineareval.py imports it, and config/audioinv.yaml names it (docs/judged.md).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from audioinv.audio.judges.judged import Judged
from audioinv.base.errors import UserError

MOST = 2048  # labelled clips that a descriptor is learnt from
log = logging.getLogger(__name__)


class AR_Audioinv(Judged):
    """Made of EVAR's configuration; its features go to EVAR's linear layer.

    Args:
        cfg: weight_file, the encoder's folder or OWNER/NAME; sample_rate, which must be its own;
            descriptor, "all" if it is not there, or "auto"; hop_s of `encode_frames`.

    Raises:
        UserError: another sample rate, or what `Judged` refuses.
    """

    def __init__(self, cfg: Mapping[str, Any]) -> None:
        super().__init__(cfg["weight_file"], cfg.get("descriptor", "all"))
        self.cfg = cfg
        if cfg["sample_rate"] != self.sample_rate:
            raise UserError(
                f"sample_rate is {cfg['sample_rate']} and the encoder's is {self.sample_rate} Hz; "
                "give the encoder's in config/audioinv.yaml"
            )

    def precompute(self, device: Any, data_loader: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Learns the descriptor, if it is "auto", from the first labelled clips of the loader."""
        if not self.auto:
            return
        x, y, n = [], [], 0
        for sounds, labels in data_loader:
            x.append(sounds.cpu())
            y.append(labels.cpu())
            n += len(sounds)
            if n >= MOST:
                break
        log.warning("auto learns from fold 1: where EVAR has folds, those are tested on later")
        labels = torch.cat(y)  # of several labels a clip EVAR has 0.0 and 1.0
        self.learn(torch.cat(x), labels.long() if labels.ndim == 2 else labels)

    def encode_frames(self, batch_audio: Tensor) -> Tensor:
        """Features (B, d, t) of windows."""
        return self.frames(batch_audio, self.cfg.get("hop_s", 0.25)).transpose(1, 2)

    def forward(self, batch_audio: Tensor) -> Tensor:
        """Features (B, d) of sounds (B, T)."""
        return self.embed(batch_audio)
