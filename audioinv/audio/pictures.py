"""What an augmentation does to a sound: the same clip before and after, to hear and to see."""

from __future__ import annotations

import wave
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.image import imsave
from numpy.typing import NDArray
from torch import Tensor

from audioinv.audio.frontend import Frontend
from audioinv.audio.io import write_wav
from audioinv.audio.pcm import FULL_SCALE, to_int16
from audioinv.audio.synthesis import Sonograph
from audioinv.base.drawing import STYLE, svg
from audioinv.base.files import write_text
from audioinv.base.randomness import generator
from audioinv.core.augmentation import Augmentation
from audioinv.data.factors import vectors
from audioinv.data.modality import Shown
from audioinv.data.pack import Pack
from audioinv.data.rows import test_rows

CANDIDATES = 64
DRAWS = 8
DECIBEL_RANGE, WINDOW_S = 80.0, 0.064
# Of a clip on a page of many: rows and most columns of its picture, and how much of it is played.
BANDS, SHOWN, SHOWN_S = 64, 256, 30.0
NOTE = "Mel spectrograms, 80 dB down from full scale. Mind the volume."


def write_loud_clip(
    augmentation: Augmentation,
    clips_of: Callable[[Frontend, Pack, Sequence[int]], Tensor],
    frontend: Frontend,
    pack: Pack,
    folder: Path,
) -> dict[str, Any]:
    """A loud one of the test clips, changed by one of the stronger draws."""
    rows = (test_rows(pack) or list(range(len(pack))))[:CANDIDATES]
    candidates = clips_of(frontend, pack, rows)
    clip = candidates[candidates.square().mean(1).argmax()][None]
    params = augmentation.sample(DRAWS, generator(0, "examples", augmentation.name))
    distance = (params - augmentation.identity(DRAWS)).abs()[:, 0]
    strong = params[distance.argsort()[DRAWS // 2]][None]
    with torch.no_grad():
        changed = augmentation.apply(clip, strong)
    named = zip(augmentation.parameters, strong[0].tolist(), strict=True)
    shown = {p.name: v for p, v in named if p.quantity}
    return _write_pair(augmentation.name, shown, clip[0], changed[0], pack.size, folder)


def write_tone(
    augmentation: Augmentation, frontend: Sonograph, pack: Pack, folder: Path
) -> dict[str, Any]:
    """A test tone before and after a factor is redrawn."""
    rows = test_rows(pack) or list(range(len(pack)))
    x, name = vectors(pack, rows[:1]), augmentation.name
    params = augmentation.sample(1, generator(0, "examples", name))
    with torch.no_grad():
        before, after = frontend.synthesise(torch.cat([x, augmentation.apply(x, params)]))
    rate = frontend.config["sample_rate"]
    return _write_pair(name, {name: float(params[0, 0])}, before, after, rate, folder)


def _write_pair(
    name: str,
    parameters: Mapping[str, float],
    before: Tensor,
    after: Tensor,
    sample_rate: int,
    folder: Path,
) -> dict[str, Any]:
    """Two sounds (n,), as loud as they are to one another; what examples.json says of them."""
    peak = max(float(before.abs().max()), float(after.abs().max()), 1e-6)
    told: dict[str, Any] = {"shown": "Mel spectrogram of a clip", "note": NOTE}
    for side, sound in (("before", before), ("after", after)):
        samples, file = (sound / peak).numpy(), f"{name}_{side}"
        write_wav(folder / f"{file}.wav", samples, sample_rate)
        write_text(folder / f"{file}.svg", svg(spectrogram(samples, sample_rate)))
        told[side] = [f"{file}.svg", f"{file}.wav"]
    return {"augmentation": name, "parameters": dict(parameters), **told}


def shown(samples: NDArray[Any], sample_rate: int) -> Shown:
    """SHOWN_S seconds of samples (n,), 16 bits or in [-1, 1), as a picture of SHOWN columns
    at most, and a sound."""
    first = samples[: round(SHOWN_S * sample_rate)]
    pcm = first if first.dtype == np.int16 else to_int16(first)
    level = decibels(pcm / FULL_SCALE, sample_rate, BANDS)
    level = level[:, :: -(-level.shape[1] // SHOWN)]
    picture, sound = BytesIO(), BytesIO()
    top = level.max()  # a quiet clip is to be seen as well as a loud one
    level = level.clip(top - DECIBEL_RANGE, top)
    imsave(picture, level, format="png", cmap="magma", origin="lower")
    with wave.open(sound, "wb") as file:
        file.setparams((1, 2, sample_rate, 0, "NONE", ""))
        file.writeframes(pcm.tobytes())
    return Shown(picture.getvalue(), sound.getvalue(), len(pcm) / sample_rate)


def shown_tone(factors: NDArray[Any], frontend: Sonograph) -> Shown:
    """The tone of factors (F,)."""
    with torch.no_grad():
        sound = frontend.synthesise(torch.from_numpy(factors.copy())[None])[0]
    peak = max(float(sound.abs().max()), 1.0)
    return shown((sound / peak).numpy(), frontend.config["sample_rate"])


def decibels(samples: NDArray[Any], sample_rate: int, bands: int = 128) -> NDArray[Any]:
    """Mel spectrogram (bands, frames) of `samples` (n,) in [-1, 1) in dB of full scale."""
    import librosa  # slow to import, and only pictures need it

    n_fft = 2 ** round(np.log2(WINDOW_S * sample_rate))
    power = librosa.feature.melspectrogram(
        y=np.asarray(samples, dtype=np.float32),
        sr=sample_rate,
        n_fft=n_fft,
        hop_length=n_fft // 4,
        n_mels=bands,
        norm=1,  # each band is a weighted mean of power: white noise is level
    )
    full_scale = (n_fft / 4) ** 2  # a sine of amplitude 1, in its bin under a Hann window
    return 10 * np.log10(np.maximum(power / full_scale, 1e-12))


def spectrogram(samples: NDArray[Any], sample_rate: int) -> Figure:
    """Mel spectrogram of `samples` (n,) at `sample_rate` Hz, 80 dB down from full scale."""
    import librosa

    level = decibels(samples, sample_rate)
    top_hz, bands = sample_rate / 2, len(level)
    with matplotlib.rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(4.4, 1.6), layout="constrained")
        axes = figure.add_subplot()
        axes.imshow(
            level,
            cmap="magma",
            vmin=-DECIBEL_RANGE,
            vmax=0,
            origin="lower",
            aspect="auto",
            interpolation="nearest",
            extent=(0, len(samples) / sample_rate, 0, bands),
        )
        hertz = [f for f in (500, 1000, 2000, 4000, 8000, 16000) if f <= top_hz]
        places = librosa.hz_to_mel(hertz) / librosa.hz_to_mel(top_hz) * bands
        axes.set_yticks(places, [f"{f / 1000:g}" for f in hertz])
        axes.set(xlabel="time, s", ylabel="frequency, kHz")
    return figure
