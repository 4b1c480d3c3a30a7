"""The seven augmentations as other libraries have them, one clip at a time as they are used."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import audiomentations
import numpy as np
import torch
import torchaudio
from torch import Tensor

Clips = Callable[[Any], object]


def by_audiomentations(sample_rate: int) -> dict[str, Clips]:
    """Augmentation -> what audiomentations does to clips (B, T), an array, one after the other.

    Its ranges are the bank's. It has no fade: GainTransition over part of the clip stands in.
    """
    transforms = {
        "pitch_shift": audiomentations.PitchShift(-15, 15, p=1.0),
        "time_stretch": audiomentations.TimeStretch(0.5, 1.5, p=1.0),
        "time_shift": audiomentations.Shift(-0.5, 0.5, p=1.0),
        "fade": audiomentations.GainTransition(
            min_duration=0.01, max_duration=0.5, duration_unit="fraction", p=1.0
        ),
        "time_mask": audiomentations.TimeMask(0.001, 1 / 8, p=1.0),
        "white_noise": audiomentations.AddGaussianSNR(3.0, 30.0, p=1.0),
        "coloured_noise": audiomentations.AddColorNoise(3.0, 30.0, -6.0, 6.0, p=1.0),
    }

    def each(transform: Any) -> Clips:
        return lambda clips: np.stack([transform(clip, sample_rate=sample_rate) for clip in clips])

    return {name: each(transform) for name, transform in transforms.items()}


def has_torch_audiomentations() -> bool:
    """Whether the extra `benchmarks` is installed."""
    return find_spec("torch_audiomentations") is not None


def by_torch_audiomentations(sample_rate: int, seed: int = 0) -> dict[str, Clips]:
    """Augmentation -> what MT-SLVR's way does to clips (B, T), a tensor, one after the other.

    torch-audiomentations for pitch, noise and shift; what it lacks from torchaudio: the stretch (a
    phase vocoder between two Fourier transforms) and the fade; the mask is an assignment.
    """
    import torch_audiomentations

    common = {"p": 1.0, "sample_rate": sample_rate, "output_type": "dict"}
    noise = {"min_snr_in_db": 3.0, "max_snr_in_db": 30.0, **common}
    made = {
        "pitch_shift": torch_audiomentations.PitchShift(-15.0, 15.0, **common),
        "time_shift": torch_audiomentations.Shift(-0.5, 0.5, **common),
        "white_noise": torch_audiomentations.AddColoredNoise(
            min_f_decay=0.0, max_f_decay=0.0, **noise
        ),
        "coloured_noise": torch_audiomentations.AddColoredNoise(**noise),
    }
    draw = np.random.default_rng(seed)
    own = {
        "time_stretch": lambda clip: stretched(clip, draw.uniform(0.5, 1.5)),
        "fade": lambda clip: faded(clip, draw),
        "time_mask": lambda clip: masked(clip, draw),
    }

    def each(transform: Callable[[Tensor], Tensor]) -> Clips:
        return lambda clips: torch.stack([transform(clip) for clip in clips])

    def library(transform: Any) -> Clips:
        return each(lambda clip: transform(clip[None, None]).samples[0, 0])

    return {n: library(t) for n, t in made.items()} | {n: each(t) for n, t in own.items()}


def stretched(clip: Tensor, rate: float, n_fft: int = 1024) -> Tensor:
    """The clip (T,) at `rate` times its speed by torchaudio, cut or filled up to its length."""
    window = torch.hann_window(n_fft, device=clip.device)
    spectrum = torch.stft(clip, n_fft, window=window, return_complex=True)
    advance = torch.linspace(0, torch.pi * n_fft / 4, n_fft // 2 + 1, device=clip.device)[:, None]
    other = torchaudio.functional.phase_vocoder(spectrum, rate, advance)
    y = torch.istft(other, n_fft, window=window)[: len(clip)]
    return torch.nn.functional.pad(y, (0, len(clip) - len(y)))


def faded(clip: Tensor, draw: np.random.Generator) -> Tensor:
    """The clip (T,) with torchaudio's fades of up to half of it at either end."""
    rise, fall = (int(draw.uniform(0, 0.5) * len(clip)) for _ in range(2))
    shape = draw.choice(["linear", "logarithmic", "exponential"])
    return torchaudio.transforms.Fade(rise, fall, str(shape))(clip)


def masked(clip: Tensor, draw: np.random.Generator) -> Tensor:
    """The clip (T,) with up to an eighth of it silent."""
    length = int(draw.uniform(0, 1 / 8) * len(clip))
    start = int(draw.uniform(0, len(clip) - length))
    y = clip.clone()
    y[start : start + length] = 0
    return y
