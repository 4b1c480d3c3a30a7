"""Resemblyzer, a speaker encoder (GE2E, Wan et al., ICASSP 2018), of the package Resemblyzer."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from audioinv.audio.rivals.rival import Rival, imported
from audioinv.core.backbone import rows_of

LOUDNESS_DB = -30.0  # of full scale; quieter sounds are raised to it, as it was trained
QUIETEST = 1e-5


class Resemblyzer(Rival):
    """The embedding of one partial utterance, 1.6 s, by its LSTM of three layers.

    Levels: mean and deviation of its 40 mel bands in dB, as level 0 of our encoders; what each
    layer of the LSTM ends with; the embedding (B, 256) of unit length, which others use. Its
    removal of silence, which looks for voices, is left out: it would cut notes and noises.

    Raises:
        UserError: Resemblyzer is not installed.
    """

    title = "Resemblyzer"
    sample_rate = 16000
    clip_s = 1.6
    short_clips = "repeat"  # as it ends with its last frame, which would be silence

    def __init__(self) -> None:
        super().__init__()
        made = imported("resemblyzer.voice_encoder", "Resemblyzer")
        self.spectrum = made.audio.wav_to_mel_spectrogram
        self.network = made.VoiceEncoder("cpu", verbose=False).eval()

    def levels(self, sounds: Tensor) -> list[Tensor]:
        """Features (B, 80), three times (B, 256), and (B, 256) of sounds (B, 25600)."""
        mels = torch.from_numpy(np.stack([self.spectrum(x) for x in raised(sounds).numpy()]))
        mels = mels[:, : round(self.clip_s * 100)]  # frames of 10 ms, without that of the padding
        hidden = self.network.lstm(mels)[1][0]
        embedding = self.network.linear(hidden[-1]).relu()
        embedding = embedding / embedding.norm(dim=1, keepdim=True).clamp_min(QUIETEST)
        bands = 10 * mels.clamp_min(QUIETEST**2).log10()
        return [rows_of(bands.transpose(1, 2)[:, None]), *hidden, embedding]


def raised(sounds: Tensor) -> Tensor:
    """Sounds (B, T) on the CPU, the quieter ones raised to a mean of LOUDNESS_DB."""
    level = sounds.cpu().square().mean(1, keepdim=True).sqrt()
    return sounds.cpu() * (10 ** (LOUDNESS_DB / 20) / level.clamp_min(QUIETEST)).clamp_min(1)
