"""Sonograph's sounds: additive synthesis that is differentiable in every factor of variation.

The audio counterpart of the Spirograph images of InvCLR (Foster, Pukdee and Rainforth, ICLR 2021):
a sound is a smooth function of a few named factors, so a gradient penalty can move through any of
them. A clip is a harmonic tone in white noise,

    x(t) = 10^(level/20) [ e(t) p(t) sum_k a_k sin(k theta(t) + phi_k) + 10^(-snr/20) w(t) ]

    theta(t) = 2 pi f0 (t - d cos(2 pi r t + psi) / (2 pi r)),   d = 2^(vibrato_depth/12) - 1
    20 log10 a_k = tilt log2 k + emphasis exp(-(log2(k / harmonic) / width)^2 / 2)
                   + even_level if k is even
    e(t) = sigmoid(u) exp(-softplus(u) s / decay),   u = (t - onset) / s,   s = attack / 4
    p(t) = 1 - pulse_depth (1 - cos(2 pi pulse_rate (t - onset))) / 2

with a scaled so that the tone has unit RMS where e p = 1: `level` is the tone's RMS there, and
`snr` its ratio to the noise there. The phases phi, psi and the noise w are random.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from audioinv.audio.augment.noise_bank import OFFSETS, read_noise
from audioinv.audio.frontend import LogFrequency
from audioinv.base.errors import UserError
from audioinv.data import factors as factors_of_clips
from audioinv.data.factors import Factor, check_names

N_HARMONICS = 24
EMPHASIS_WIDTH_OCTAVES = 0.3
BAND_EDGE = 0.9  # of the Nyquist frequency: where a harmonic has lost half its amplitude
BAND_SLOPE = 0.0125  # of the Nyquist frequency: a harmonic at Nyquist is 70 dB down


FACTORS: dict[str, Factor] = {
    factor.name: factor
    for factor in (
        # pulse_depth's default lies outside its range: pulses that vary are deep enough to hear
        Factor("pitch", "MIDI number", 44.5, 68.5, 60.0),
        Factor("tilt", "dB per octave", -15.0, 0.0, -6.0),
        Factor("even_level", "dB relative to odd harmonics", -24.0, 0.0, 0.0),
        Factor("emphasis", "dB", 0.0, 24.0, 0.0),
        Factor("emphasised_harmonic", "harmonic number", 2.0, 8.0, 4.0, "log"),
        Factor("vibrato_depth", "semitones", 0.0, 0.1, 0.0),
        Factor("vibrato_rate", "Hz", 4.0, 8.0, 6.0, "log"),
        Factor("pulse_rate", "Hz", 4.0, 16.0, 8.0, "log"),
        Factor("pulse_depth", "fraction of the amplitude", 0.2, 0.6, 0.0),
        Factor("attack", "s", 0.005, 0.06, 0.02, "log"),
        Factor("decay", "s", 0.3, 1.5, 1.0, "log"),
        Factor("onset", "s", 0.1, 0.25, 0.1),
        Factor("level", "dB relative to full scale", -26.0, -18.0, -20.0),
        Factor("snr", "dB", 30.0, 40.0, 40.0),
    )
}


def draw(
    n: int,
    generator: torch.Generator,
    varied: Iterable[str] | None = None,
    fixed: Mapping[str, float | Tensor] | None = None,
) -> dict[str, Tensor]:
    """Draws the factors of `n` sounds, (n,) each; see `audioinv.data.factors.draw`."""
    return factors_of_clips.draw(FACTORS, n, generator, varied, fixed)


def synthesise(
    factors: Mapping[str, Tensor],
    n_samples: int,
    sample_rate: int,
    generator: torch.Generator,
    chunk_size: int = 16,
) -> Tensor:
    """Renders sounds, (n, n_samples), of the factors' dtype and device; full scale is 1.

    Differentiable in every factor. Row i draws its phases and its noise after row i - 1, so a sound
    depends neither on `chunk_size` nor on the rows that follow it.

    Args:
        factors: a value (n,) of each of `FACTORS`.
        chunk_size: sounds rendered at a time; bounds the working memory when no gradient is wanted.

    Raises:
        UserError: a factor is missing, unknown, or not of the same length as the others.
    """
    rows = []
    for chunk in torch.split(_table(factors), chunk_size):
        phases, noise = _randomness(len(chunk), n_samples, generator)
        rows.append(render(chunk, phases.to(chunk), noise.to(chunk), sample_rate))
    return torch.cat(rows)


def render(factors: Tensor, phases: Tensor, noise: Tensor, sample_rate: int) -> Tensor:
    """Sounds (n, T) whose randomness is given: a pure function, differentiable in every factor.

    Args:
        factors: (n, F), columns in the order of `FACTORS`.
        phases: (n, 1 + N_HARMONICS) in cycles. noise: (n, T) of unit variance.
    """
    values = dict(zip(FACTORS, factors.unsqueeze(-1).unbind(1), strict=True))
    time = torch.arange(noise.shape[1], dtype=torch.float64, device=factors.device) / sample_rate
    cycles = _cycles(values, time, phases[:, :1])
    amplitudes = harmonic_amplitudes(values, sample_rate)
    tone = _harmonic_sum(amplitudes, 2 * math.pi * phases[:, 1:], cycles)
    envelope = _envelope(values, time.to(factors)) * _pulse(values, time.to(factors))
    gain, noise_gain = 10 ** (values["level"] / 20), 10 ** (-values["snr"] / 20)
    return gain * (envelope * tone + noise_gain * noise)


def harmonic_amplitudes(values: Mapping[str, Tensor], sample_rate: int) -> Tensor:
    """Amplitudes a_k, (n, N_HARMONICS), of a unit-RMS tone; `values` holds factors as (n, 1).

    Harmonics that vibrato would bring near the Nyquist frequency fade out smoothly.
    """
    number = torch.arange(1, N_HARMONICS + 1).to(values["pitch"])
    octaves = number.log2()
    distance = (octaves - values["emphasised_harmonic"].log2()) / EMPHASIS_WIDTH_OCTAVES
    decibels = (
        values["tilt"] * octaves
        + values["even_level"] * (number % 2 == 0)
        + values["emphasis"] * torch.exp(-0.5 * distance.square())
    )
    highest = number * _fundamental(values["pitch"]) * 2 ** (values["vibrato_depth"] / 12)
    in_band = torch.sigmoid((BAND_EDGE - highest / (sample_rate / 2)) / BAND_SLOPE)
    amplitudes = in_band * 10 ** (decibels / 20)
    return amplitudes / (amplitudes.square().sum(1, keepdim=True) / 2).sqrt()


def _randomness(n: int, n_samples: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Phases in cycles, (n, 1 + N_HARMONICS), and white noise of unit variance, (n, n_samples)."""
    rows = [
        (
            torch.rand(1 + N_HARMONICS, generator=generator),
            torch.randn(n_samples, generator=generator),
        )
        for _ in range(n)
    ]
    phases, noise = zip(*rows, strict=True)
    return torch.stack(phases), torch.stack(noise)


def _fundamental(pitch: Tensor) -> Tensor:
    """f0 in Hz; A4 = 440 Hz is MIDI number 69."""
    return 440 * 2 ** ((pitch - 69) / 12)


def _cycles(values: Mapping[str, Tensor], time: Tensor, vibrato_phase: Tensor) -> Tensor:
    """The fundamental's phase theta / 2 pi in [0, 1), (n, T).

    Counted in float64: single precision would put phase noise 60 dB below the high harmonics.
    """
    rate = values["vibrato_rate"].double()
    deviation = 2 ** (values["vibrato_depth"].double() / 12) - 1
    fundamental = _fundamental(values["pitch"].double())
    swing = torch.cos(2 * math.pi * (rate * time + vibrato_phase)) / (2 * math.pi * rate)
    cycles = fundamental * (time - deviation * swing)
    return (cycles - cycles.detach().floor()).to(values["pitch"])


def _harmonic_sum(amplitudes: Tensor, phases: Tensor, cycles: Tensor) -> Tensor:
    """sum_k a_k sin(k theta + phi_k), (n, T): imaginary part of a polynomial in exp(i theta)."""
    angle = 2 * math.pi * cycles
    turn = torch.complex(angle.cos(), angle.sin())
    coefficients = torch.polar(amplitudes, phases)
    total = coefficients[:, -1:] * turn
    for k in range(N_HARMONICS - 2, -1, -1):
        total = (total + coefficients[:, k : k + 1]) * turn
    return total.imag


def _envelope(values: Mapping[str, Tensor], time: Tensor) -> Tensor:
    """A rise through one half at `onset`, then a fall with time constant `decay`."""
    scale = values["attack"] / 4
    rise = (time - values["onset"]) / scale
    return torch.sigmoid(rise) * torch.exp(-functional.softplus(rise) * scale / values["decay"])


def _pulse(values: Mapping[str, Tensor], time: Tensor) -> Tensor:
    """Amplitude pulsing between 1 (at the onset and every period after it) and 1 - pulse_depth."""
    turn = torch.cos(2 * math.pi * values["pulse_rate"] * (time - values["onset"]))
    return 1 - values["pulse_depth"] * (1 - turn) / 2


def _table(factors: Mapping[str, Tensor]) -> Tensor:
    """The factors as columns, (n, F), in the order of `FACTORS`."""
    check_names(FACTORS, factors)
    missing = [name for name in FACTORS if name not in factors]
    if missing:
        raise UserError(f"no value for the factor {', '.join(missing)}; draw() gives all of them")
    shapes = {tuple(factors[name].shape) for name in FACTORS}
    if len(shapes) > 1 or len(next(iter(shapes))) != 1:
        raise UserError(f"factors are tensors (n,) of one length, got the shapes {sorted(shapes)}")
    return torch.stack([factors[name] for name in FACTORS], 1)


PLACE = Factor(
    "place", "place in the noise bank", 0.0, OFFSETS - 1.0, 0.0,
    differentiable=False, quantity=False,
)  # fmt: skip
PLACED: dict[str, Factor] = {**FACTORS, "place": PLACE}
"""The factors of a clip of the modality `sonograph`: phases and noise are a place in a bank."""


class Sonograph(LogFrequency):
    """Factors (B, 15) -> normalised log spectra (B, 1, bins, frames) of the tones."""

    name = "sonograph"

    def synthesise(self, x: Tensor) -> Tensor:
        """Tones (B, n_samples) of factors `x` (B, 15); differentiable in all but the place."""
        place, width = x[:, -1], 1 + N_HARMONICS
        drawn = read_noise(place, width + self.n_samples, x.dtype)
        phases, noise = torch.special.ndtr(drawn[:, :width]), drawn[:, width:]
        return render(x[:, :-1], phases, noise, self.config["sample_rate"])

    def decibels(self, x: Tensor) -> Tensor:
        """Log spectra in dB before normalisation: factors (B, 15) -> (B, bins, frames)."""
        return super().decibels(self.synthesise(x))
