"""Pre-train one encoder on sounds, and use it sensitive to pitch or invariant to it.

The sounds are tones made here. Put yours in their place: a tensor (n, samples), or a pack that
`audioinv pack` made, `ai.open_pack("packs/mine")`. Run it twice: the second time it is done.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor

import audioinv as ai

RATE, SECONDS = 8000, 0.25


def tones(n: int) -> Tensor:
    """Decaying tones of random pitch and brightness, (n, samples)."""
    draw = torch.Generator().manual_seed(0)
    t = torch.arange(int(RATE * SECONDS)) / RATE
    hertz, bright = torch.rand(2, n, 1, generator=draw)
    phase = 2 * torch.pi * 200 * 4**hertz * t
    return (phase.sin() + bright * (2 * phase).sin()) * torch.exp(-8 * t) / 4


def main(run: Path, steps: int = 200) -> None:
    """Pre-trains into `run`."""
    sounds = tones(512)
    audio = ai.modality("audio")
    bank = audio.bank(sample_rate=RATE, names=["pitch_shift", "fade", "white_noise"])
    front = audio.frontend("log_mel", sample_rate=RATE, clip_s=SECONDS, n_fft=512, hop=128)
    front.fit(sounds)  # mean and deviation of the spectra

    network = ai.backbone("resnet10t", front.output_size, width=0.25)
    encoder = ai.Encoder(front, network, "norm", bank.space)
    ai.pretrain(encoder, bank, sounds, run, steps=steps, batch_size=64, lr=6e-3)

    for descriptor in ("all", "-pitch_shift"):
        plain = encoder.at(descriptor)  # an ordinary torch module
        low, high = plain(torch.stack([sounds[0], pitched(bank, sounds[0])]))
        print(f"{descriptor}: cosine of a tone and itself, shifted: {cosine(low, high):.2f}")


def pitched(bank: ai.Bank, sound: Tensor) -> Tensor:
    """The sound, four semitones up."""
    return bank.augmentations["pitch_shift"].apply(sound[None], torch.tensor([[4.0]]))[0]


def cosine(a: Tensor, b: Tensor) -> float:
    return float(torch.cosine_similarity(a, b, dim=0))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "exp/example"))
