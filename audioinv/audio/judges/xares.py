"""An encoder as X-ARES wants it (Zhang et al., 2025): frames of sounds, (B, T) -> (B, t, d).

X-ARES takes one class of a file, and calls it without arguments:

    from audioinv.audio.judges import xares

    class MyEncoder(xares.AudioinvEncoder):
        def __init__(self):
            super().__init__("exp/mine/amortised_s0/encoder", "-pitch_shift")
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from audioinv.audio.judges.judged import Judged
from audioinv.core.encoder import AmortisedEncoder


class AudioinvEncoder(Judged):
    """With the attributes that X-ARES reads: `sampling_rate`, `output_dim`, `hop_size_in_ms`.

    Args:
        encoder, descriptor: as of `Judged`, but "auto": X-ARES shows no labels. hop_s: from the
            middle of a frame to the next; the work goes with its inverse.
    """

    def __init__(
        self,
        encoder: AmortisedEncoder | str | Path,
        descriptor: Any = "all",
        hop_s: float = 0.25,
    ) -> None:
        super().__init__(encoder, descriptor, shows_labels=False)
        self.hop_s, self.hop_size_in_ms = hop_s, 1000 * hop_s
        self.sampling_rate, self.output_dim = self.sample_rate, self.size

    def forward(self, audio: Tensor) -> Tensor:
        """Features (B, t, d) of sounds (B, T) or (T,)."""
        return self.frames(audio if audio.ndim == 2 else audio[None], self.hop_s)
