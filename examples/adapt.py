"""Two tasks with conflicting needs learn from one frozen encoder: pitch, and timbre.

Run it: python examples/adapt.py
"""

from __future__ import annotations

import torch
from torch import Tensor

import audioinv as ai

RATE, SECONDS = 8000, 0.5
PITCHES = ("c", "e", "g sharp")


def tones(n: int, seed: int) -> tuple[Tensor, list[str], list[str]]:
    """Waveforms (n, samples) of tones, and the pitch and the timbre of each."""
    random = torch.Generator().manual_seed(seed)
    pitch = torch.randint(3, (n, 1), generator=random)
    hollow = torch.randint(2, (n, 1), generator=random)
    hz = 262 * 2 ** (pitch / 3) * (1 + 0.01 * torch.randn(n, 1, generator=random))
    phase = 2 * torch.pi * hz * torch.arange(int(RATE * SECONDS)) / RATE
    x = torch.zeros_like(phase)
    for harmonic in range(1, 8):
        heard = 1 - hollow * (harmonic % 2 == 0)  # a hollow tone has odd harmonics alone
        x += heard * torch.sin(harmonic * phase) / harmonic
    x = 0.2 * x + 0.05 * torch.randn(x.shape, generator=random)
    timbres = ["hollow" if h else "full" for h in hollow.flatten().tolist()]
    return x, [PITCHES[p] for p in pitch.flatten().tolist()], timbres


def encoder_for(x: Tensor) -> ai.Encoder:
    """An encoder at its first weights; a trained one: ai.load_encoder("exp/mine/run/encoder")."""
    audio = ai.modality("audio")
    bank = audio.bank(RATE, names=["pitch_shift", "time_shift", "white_noise"])
    front = audio.frontend(
        "log_mel", sample_rate=RATE, clip_s=SECONDS, n_fft=512, hop=256, n_bins=32
    )
    front.fit(x)
    torch.manual_seed(0)
    network = {"name": "resnet10t", "width": 0.25, "dim": 32}
    return ai.Encoder(front, network, "norm", bank.space).eval()


def main() -> None:
    x, pitch, timbre = tones(60, seed=0)
    test, test_pitch, test_timbre = tones(60, seed=1)
    encoder = encoder_for(x)
    for name, labels, truth in (("pitch", pitch, test_pitch), ("timbre", timbre, test_timbre)):
        task = ai.adapt(encoder, x, labels, mode="soft")
        result = ai.evaluate(task, test, truth)
        learnt = ", ".join(f"{part} {value:.2f}" for part, value in task.descriptor.items())
        low, high = result.interval or (0.0, 1.0)
        print(f"{name}: {result.value:.2f}, 95% within {low:.2f} and {high:.2f}; {learnt}")
        print("  the first three sound like", *task.predict(test[:3]))


if __name__ == "__main__":
    main()
