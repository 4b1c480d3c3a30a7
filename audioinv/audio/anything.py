"""Sounds without end: a synthesiser whose every sound is drawn at random, for pre-training.

A network that has heard nothing but synthesised sounds can serve real ones (Cherep and Singh,
"Contrastive Learning from Synthetic Audio Doppelgängers", ICLR 2025): what counts is that they
differ in many ways. Here a sound is a mixture of one to three layers, each of a kind of `KINDS`
with an envelope of its own, in a room or in none, over background noise, through a recording that
may lack high frequencies.

Sound number i of a seed depends on (seed, i) alone: any part can be made anywhere, in any order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from audioinv.base.randomness import derive_seed

Samples = npt.NDArray[np.floating[Any]]
Random = np.random.Generator

MOST_HARMONICS = 40
LOWEST_HZ, HIGHEST_HZ = 40.0, 4000.0  # of fundamentals
LAYERS = (0.6, 0.3, 0.1)  # how likely one, two and three are
TAU = 2 * np.pi


@dataclass(frozen=True)
class Sound:
    """A drawn sound.

    Args:
        samples: (n,), its peak below 1. kind: of its loudest layer. hz: the fundamental of that
            layer at its start, NaN where it has none.
    """

    samples: Samples
    kind: str
    hz: float


@dataclass(frozen=True)
class Clock:
    """The instants of a sound: `n` samples at `rate` Hz."""

    n: int
    rate: int

    @property
    def seconds(self) -> Samples:
        return np.arange(self.n) / self.rate

    @property
    def length_s(self) -> float:
        return self.n / self.rate

    @property
    def frequencies(self) -> Samples:
        """Of the spectrum of n samples, (n // 2 + 1,), in Hz."""
        return np.fft.rfftfreq(self.n, 1 / self.rate)


def draw_sound(seed: int, number: int, n_samples: int, sample_rate: int) -> Sound:
    """Sound `number` of `seed`, of `n_samples` at `sample_rate` Hz."""
    random = np.random.default_rng(derive_seed(seed, "anything", number))
    clock = Clock(n_samples, sample_rate)
    names = list(KINDS)
    count = 1 + int(random.choice(len(LAYERS), p=LAYERS))
    levels = np.append(0.0, -random.uniform(0, 18, count - 1))  # dB; the first is the loudest
    total: Samples = np.zeros(n_samples)
    first, hz = "", np.nan
    for k, level in enumerate(levels):
        name = names[random.integers(len(names))]
        layer, fundamental = KINDS[name](random, clock)
        layer = _unit(layer * _envelope(random, clock)) * 10 ** (level / 20)
        total += layer
        if k == 0:
            first, hz = name, fundamental
    if random.random() < 0.5:
        total = _in_a_room(random, total, clock)
    total = _unit(total) + _unit(_coloured(random, clock)) * 10 ** (-random.uniform(15, 70) / 20)
    if random.random() < 0.35:
        total = _without_highs(random, total, clock)
    peak = 10 ** (-random.uniform(1, 30) / 20)
    return Sound(total * peak / max(float(np.abs(total).max()), 1e-9), first, float(hz))


def _unit(x: Samples) -> Samples:
    """At a mean square of 1; silence stays silence."""
    return x / max(float(np.sqrt(np.mean(x**2))), 1e-9)


# ------------------------------------------------------------------------------------------- kinds


def _log_uniform(random: Random, low: float, high: float) -> float:
    return float(np.exp(random.uniform(np.log(low), np.log(high))))


def _glide(random: Random, clock: Clock, hz: float, most_octaves: float) -> Samples:
    """A frequency (n,) around `hz`: steady, with vibrato, or moving to another."""
    t = clock.seconds
    octaves = np.zeros(clock.n)
    if random.random() < 0.4:
        rate, depth = random.uniform(3, 9), random.uniform(0.05, 0.8) / 12
        octaves = octaves + depth * np.sin(TAU * (rate * t + random.random()))
    if random.random() < 0.35:
        away = random.uniform(-most_octaves, most_octaves)
        octaves = octaves + away * (t / clock.length_s) ** _log_uniform(random, 0.3, 3)
    return hz * 2**octaves


def _phase(hz: Samples, clock: Clock) -> Samples:
    """The phase in cycles, (n,), of a frequency that moves."""
    return np.cumsum(hz) / clock.rate


def _spectrum(random: Random, numbers: Samples, hz: float) -> Samples:
    """Amplitudes of harmonics: a tilt, a weight of the even ones, and up to four formants."""
    decibels = random.uniform(-15, 0) * np.log2(numbers)
    decibels = decibels + random.choice([0.0, random.uniform(-30, 0)]) * (numbers % 2 == 0)
    for _ in range(random.integers(0, 5)):
        centre, width = _log_uniform(random, 200, 6000), random.uniform(0.1, 0.6)
        octaves = np.log2(numbers * hz / centre) / width
        decibels = decibels + random.uniform(5, 30) * np.exp(-0.5 * octaves**2)
    decibels = decibels + random.normal(0, random.uniform(0, 5), len(numbers))
    return 10 ** (decibels / 20)


def _harmonic(random: Random, clock: Clock) -> tuple[Samples, float]:
    """Harmonics of one fundamental, whose spectrum moves from one shape to another: a voice or a
    string or a pipe."""
    hz = _log_uniform(random, LOWEST_HZ, HIGHEST_HZ / 2)
    track = _glide(random, clock, hz, 0.5)
    count = max(1, min(MOST_HARMONICS, int(0.45 * clock.rate / track.max())))
    numbers = np.arange(1, count + 1).astype(float)
    first, last = _spectrum(random, numbers, hz), _spectrum(random, numbers, hz)
    phases = np.exp(1j * TAU * random.random(count))
    turn = np.exp(1j * TAU * _phase(track, clock))
    begin, end = np.zeros(clock.n, complex), np.zeros(clock.n, complex)
    for k in range(count - 1, -1, -1):  # Horner's rule in exp(i theta)
        begin = (begin + first[k] * phases[k]) * turn
        end = (end + last[k] * phases[k]) * turn
    moved = np.clip(clock.seconds / clock.length_s * random.uniform(0, 2), 0, 1)
    return begin.imag * (1 - moved) + end.imag * moved, hz


def _struck(random: Random, clock: Clock) -> tuple[Samples, float]:
    """Partials that decay, the higher the faster: strings, bars, bells; harmonic or not."""
    hz = _log_uniform(random, LOWEST_HZ, HIGHEST_HZ)
    count = int(random.integers(3, 24))
    numbers = np.arange(1, count + 1).astype(float)
    stiff = random.choice([0.0, _log_uniform(random, 1e-5, 3e-2)])
    ratios = numbers * np.sqrt(1 + stiff * numbers**2)
    if random.random() < 0.35:  # a bar or a bell: ratios of no series
        ratios = np.sort(np.append(1.0, random.uniform(1.1, 14, count - 1)))
    heard = ratios * hz < 0.45 * clock.rate
    ratios, amplitudes = ratios[heard], _spectrum(random, numbers, hz)[heard]
    decays = _log_uniform(random, 0.05, 2) / ratios ** random.uniform(0, 1)
    t, wave = clock.seconds, np.zeros(clock.n)
    for ratio, amplitude, decay in zip(ratios, amplitudes, decays, strict=True):
        wave += amplitude * np.exp(-t / decay) * np.sin(TAU * (ratio * hz * t + random.random()))
    return wave, hz


def _modulated(random: Random, clock: Clock) -> tuple[Samples, float]:
    """Frequency modulation (Chowning, 1973), its index moving."""
    hz = _log_uniform(random, LOWEST_HZ, HIGHEST_HZ / 2)
    track = _glide(random, clock, hz, 1.0)
    ratio = random.choice([1, 2, 3, 0.5, 1.5, random.uniform(0.2, 5)])
    highest = 0.45 * clock.rate / (track.max() * max(ratio, 1))  # Carson's bandwidth in ratios
    first, last = random.uniform(0, min(8.0, max(highest - 1, 0.1)), 2)
    index = np.linspace(first, last, clock.n)
    cycles = _phase(track, clock)
    return np.sin(TAU * cycles + index * np.sin(TAU * ratio * cycles)), hz


def _chirp(random: Random, clock: Clock) -> tuple[Samples, float]:
    """Sweeps, one or repeated: birds, sirens, lasers."""
    start, stop = (_log_uniform(random, 150, 0.4 * clock.rate) for _ in range(2))
    rate = random.choice([1 / clock.length_s, _log_uniform(random, 1, 20)])
    turn = (clock.seconds * rate + random.random()) % 1
    if random.random() < 0.5:  # to and fro
        turn = 1 - np.abs(2 * turn - 1)
    track = start * (stop / start) ** turn
    numbers = np.arange(1, int(random.integers(2, 5)))
    cycles = _phase(track, clock)
    heard = (numbers[:, None] * track) < 0.45 * clock.rate
    return (np.sin(TAU * numbers[:, None] * cycles) / numbers[:, None] * heard).sum(0), np.nan


def _coloured(random: Random, clock: Clock) -> Samples:
    """Noise whose power falls or rises by a few dB an octave."""
    slope = random.uniform(-12, 3)
    octaves = np.log2(np.maximum(clock.frequencies, 30) / 1000)
    drawn = np.fft.rfft(random.standard_normal(clock.n))
    return np.fft.irfft(drawn * 10 ** (slope * octaves / 20), clock.n)


def _noise(random: Random, clock: Clock) -> tuple[Samples, float]:
    """Noise through a few resonances: wind, breath, surf, engines."""
    decibels = np.full(len(clock.frequencies), -random.uniform(5, 40))
    for _ in range(random.integers(1, 5)):
        centre, width = _log_uniform(random, 80, 0.45 * clock.rate), random.uniform(0.05, 1.5)
        octaves = np.log2(np.maximum(clock.frequencies, 20) / centre) / width
        decibels = np.maximum(decibels, random.uniform(-10, 0) - 4.3 * octaves**2)
    spectrum = np.fft.rfft(_coloured(random, clock))
    return np.fft.irfft(spectrum * 10 ** (decibels / 20), clock.n), np.nan


def _clicks(random: Random, clock: Clock) -> tuple[Samples, float]:
    """Clicks at random or in step, each a ringing body: rain, fire, clocks, steps, purring."""
    rate = _log_uniform(random, 2, 300)
    regular = random.random() < 0.5
    gaps = np.full(int(2 * rate * clock.length_s) + 2, 1 / rate)
    gaps = gaps * (
        random.normal(1, 0.05, len(gaps)) if regular else random.exponential(size=len(gaps))
    )
    times = np.cumsum(np.abs(gaps)) - random.random() / rate
    places = (times[(times >= 0) & (times < clock.length_s)] * clock.rate).astype(int)
    train = np.zeros(clock.n)
    spread = random.uniform(0, 12)
    np.add.at(train, places, 10 ** (random.normal(0, spread, len(places)) / 20))
    t = clock.seconds
    body = np.zeros(clock.n)
    for _ in range(random.integers(1, 5)):
        hz, decay = _log_uniform(random, 100, 0.45 * clock.rate), _log_uniform(random, 5e-4, 5e-2)
        body += random.random() * np.exp(-t / decay) * np.sin(TAU * (hz * t + random.random()))
    body += random.random() * np.exp(-t / 2e-3) * random.standard_normal(clock.n)
    return _convolved(train, body), np.nan


KINDS: dict[str, Callable[[Random, Clock], tuple[Samples, float]]] = {
    "harmonic": _harmonic,
    "struck": _struck,
    "modulated": _modulated,
    "chirp": _chirp,
    "noise": _noise,
    "clicks": _clicks,
}
"""(random, clock) -> a layer (n,) of any level, and its fundamental in Hz, or NaN."""


# ------------------------------------------------------------------------ envelope, room, recording


def _envelope(random: Random, clock: Clock) -> Samples:
    """Gain (n,): held, struck, or repeated, from an onset on; at times pulsing."""
    t = clock.seconds
    onset = random.choice([0.0, random.uniform(0, 0.5 * clock.length_s)])
    since = t - onset
    repeats = random.random() < 0.3
    if repeats:
        since = np.where(since < 0, since, since % (1 / _log_uniform(random, 1.5, 12)))
    attack, decay = _log_uniform(random, 2e-3, 0.2), _log_uniform(random, 0.03, 3)
    gain = np.clip(since / attack, 0, 1) * np.exp(-np.maximum(since - attack, 0) / decay)
    if random.random() < 0.4:  # held, then let go
        end = onset + random.uniform(0.1, 1) * clock.length_s
        gain = np.clip(since / attack, 0, 1) * np.clip((end - t) / 0.03, 0, 1)
    if random.random() < 0.25:
        depth, rate = random.random(), _log_uniform(random, 3, 60)
        gain = gain * (1 - depth * (1 + np.sin(TAU * (rate * t + random.random()))) / 2)
    return gain


def _convolved(x: Samples, response: Samples) -> Samples:
    """The first n samples of x * response, both (n,)."""
    n = 2 * len(x)
    return np.fft.irfft(np.fft.rfft(x, n) * np.fft.rfft(response, n), n)[: len(x)]


def _in_a_room(random: Random, x: Samples, clock: Clock) -> Samples:
    """With exponentially decaying noise for its reverberation, which lasts .1 to 1.5 s (to -60 dB),
    the high frequencies being damped."""
    lasts, wet = _log_uniform(random, 0.1, 1.5), random.uniform(0, 0.6)
    tail = random.standard_normal(clock.n) * 10 ** (-3 * clock.seconds / lasts)
    cut = _log_uniform(random, 1500, 0.5 * clock.rate)
    damped = np.fft.rfft(tail) / (1 + (clock.frequencies / cut) ** 2)
    return (1 - wet) * _unit(x) + wet * _unit(_convolved(x, np.fft.irfft(damped, clock.n)))


def _without_highs(random: Random, x: Samples, clock: Clock) -> Samples:
    """As a telephone, a low rate or a cheap microphone has it: nothing above 2 kHz or more."""
    edge = _log_uniform(random, 2000, 0.5 * clock.rate)
    gain = 1 / (1 + (clock.frequencies / edge) ** random.choice([4.0, 40.0]))
    return np.fft.irfft(np.fft.rfft(x) * gain, clock.n)
