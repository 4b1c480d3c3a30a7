"""Front ends: waveforms (B, T) -> normalised log spectra (B, C, bins, frames)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import audioinv.audio.hear  # noqa: F401  # makes the backbone known
from audioinv.audio.augment import kernels
from audioinv.audio.augment.fused import FusedBank
from audioinv.audio.fourier import RealFourier
from audioinv.audio.mel import MEL_NORMS, MEL_SCALES, mel_filters
from audioinv.base.errors import UserError
from audioinv.base.near import unknown
from audioinv.core.bank import AugmentationBank
from audioinv.core.precision import outside_autocast, wide
from audioinv.data.fitting import Fitted

TINY = 1e-10
QUIET = 1e-6  # deviation of a waveform that counts as silence
CHUNK = 2**17  # samples whose spectra stay in a processor's cache
BLOCK = 16  # filters that are applied together
SHORT_CLIPS = ("zeros", "repeat")
VIEWS = ("waveform", "fused")
NORMALISE = ("none", "clip")


class Frontend(Fitted, nn.Module):
    """Power spectrogram, filters, decibels, then one mean and one standard deviation for all bins.

    One scalar pair keeps a shift along the frequency axis a shift.

    Args:
        sample_rate: Hz. clip_s: seconds of a training clip. n_fft, hop: samples.
        n_bins: filters. min_hz, max_hz: edges of the filters; max_hz 0 means half the sample rate.
        short_clips: what fills up a clip shorter than clip_s: "zeros", or "repeat" for itself
            again, so that silence and duration do not enter its spectrum.
        floor_db: power below it counts as this much, so that digital silence is not an outlier.
        views: how pre-training makes views: "waveform" augments sounds, "fused" their frames, which
            is faster and nearly the same (`audioinv.audio.augment.fused`).
        channels_last: lay maps out in memory so that convolutions take that layout over: faster for
            small networks and in bfloat16 (docs/benchmarks.md, precision), the same but rounding.
        mel_scale: "slaney" or "htk". mel_norm: "slaney" divides a filter by its width, "none"
            leaves its peak at 1. Both are of mel filters only.
        normalise: "clip" brings every waveform to mean 0 and deviation 1 first; silence stays.

    Raises:
        UserError: a value out of range.
    """

    name: str
    config: dict[str, Any]
    spectrogram: Any  # its window is a buffer, which nn.Module's types do not know
    filters: Tensor
    mean: Tensor
    std: Tensor
    free_axes = ("samples",)  # of a clip, whose length its network may leave free

    def __init__(
        self,
        sample_rate: int = 16000,
        clip_s: float = 1.0,
        n_fft: int = 1024,
        hop: int = 512,
        n_bins: int = 128,
        min_hz: float = 0.0,
        max_hz: float = 0.0,
        floor_db: float = -100.0,
        short_clips: str = "zeros",
        views: str = "waveform",
        channels_last: bool = False,
        mel_scale: str = "slaney",
        mel_norm: str = "slaney",
        normalise: str = "none",
    ) -> None:
        super().__init__()
        max_hz = max_hz or sample_rate / 2
        _check_choice("short_clips", short_clips, SHORT_CLIPS)
        _check_choice("views", views, VIEWS)
        _check_choice("mel_scale", mel_scale, MEL_SCALES)
        _check_choice("mel_norm", mel_norm, MEL_NORMS)
        _check_choice("normalise", normalise, NORMALISE)
        _check(sample_rate, clip_s, n_fft, hop, n_bins, min_hz, max_hz)
        self.config = {
            "name": self.name, "sample_rate": sample_rate, "clip_s": clip_s, "n_fft": n_fft,
            "hop": hop, "n_bins": n_bins, "min_hz": min_hz, "max_hz": max_hz, "floor_db": floor_db,
            "short_clips": short_clips, "views": views, "channels_last": channels_last,
            "mel_scale": mel_scale, "mel_norm": mel_norm, "normalise": normalise,
        }  # fmt: skip
        self.repeats, self.floor = short_clips == "repeat", 10 ** (floor_db / 10)
        self.n_samples = round(clip_s * sample_rate)
        self.output_size = (1, n_bins, self.n_samples // hop + 1)
        self.spectrogram = _hann(n_fft)
        self.fourier: Any = torch.fft.rfft
        self.register_buffer("filters", self.make_filters(n_fft // 2 + 1, min_hz, max_hz))
        self.blocks = _blocks(self.filters)
        self.register_buffer("mean", torch.tensor(0.0))
        self.register_buffer("std", torch.tensor(1.0))

    def make_filters(self, n_freqs: int, min_hz: float, max_hz: float) -> Tensor:
        """The filter matrix (n_freqs, n_bins)."""
        raise NotImplementedError

    def decibels(self, x: Tensor) -> Tensor:
        """Log spectra in dB before normalisation: (B, T) -> (B, bins, frames)."""
        x = self.levelled(wide(x))
        if x.device.type != "cpu" or kernels.traced():  # an exported batch size is free
            return self.decibels_of_frames(self.frames(x))
        parts = x.split(max(1, CHUNK // x.shape[-1]))
        return torch.cat([self.decibels_of_frames(self.frames(part)) for part in parts])

    def levelled(self, x: Tensor) -> Tensor:
        """Waveforms (B, T) as `normalise` wants them."""
        if self.config["normalise"] == "none":
            return x
        return F.layer_norm(x, x.shape[-1:], eps=QUIET**2)

    def frames(self, x: Tensor) -> Tensor:
        """Centred stretches (B, frames, n_fft) of (B, T), which is mirrored at its ends."""
        n_fft, hop = self.config["n_fft"], self.config["hop"]
        return F.pad(x, (n_fft // 2, n_fft // 2), mode="reflect").unfold(-1, n_fft, hop)

    def decibels_of_frames(self, frames: Tensor) -> Tensor:
        """Log spectra in dB (B, bins, frames) of stretches of sound (B, frames, n_fft)."""
        spectra = self.fourier(frames * self.spectrogram.window)
        if kernels.applies(frames):
            power = self.filtered(kernels.power(spectra))
        else:
            power = self.filtered(spectra.real.square() + spectra.imag.square())
        return 10 * power.clamp_min(self.floor).log10().transpose(1, 2)

    def filtered(self, power: Tensor) -> Tensor:
        """Power (..., n_freqs) through the filters, (..., n_bins).

        In single precision whatever the network runs in: power leaves the range of half.
        """
        with outside_autocast(power):
            return self._filtered(power)

    def _filtered(self, power: Tensor) -> Tensor:
        if power.device.type != "cpu":
            return power @ self.filters
        parts = [power[..., rows] @ self.filters[rows, bins] for rows, bins in self.blocks]
        return torch.cat(parts, -1)

    def forward(self, x: Tensor) -> Tensor:
        """Waveforms (B, T) in [-1, 1] -> maps (B, 1, bins, frames) of mean 0 and deviation 1.

        Maps are handed through: the fused route makes them without waveforms.
        """
        return x if x.ndim == 4 else self.normalised(self.decibels(x))

    def normalised(self, decibels: Tensor) -> Tensor:
        """Log spectra in dB (B, bins, frames) as maps (B, 1, bins, frames)."""
        maps = ((decibels - self.mean) / self.std)[:, None]
        if not self.config["channels_last"] or kernels.traced():
            return maps
        # torch takes one channel for either layout, and goes by the strides
        bins, frames = maps.shape[2:]
        return maps.contiguous().as_strided(maps.shape, (bins * frames, 1, frames, 1))

    def without_complex_numbers(self) -> None:
        """Transforms by matrix products from now on, for formats such as ONNX."""
        self.fourier = RealFourier(self.config["n_fft"])

    def training_bank(self, bank: AugmentationBank) -> AugmentationBank:
        """What makes the views to pre-train on: `bank`, or its fused form with `views` "fused".

        Raises:
            UserError: the fused route cannot do what the bank does.
        """
        return FusedBank(bank, self) if self.config["views"] == "fused" else bank

    @torch.no_grad()
    def fit_statistics(self, batches: Iterable[Tensor]) -> dict[str, float]:
        """Computes mean and standard deviation (dB) over waveforms, keeps and returns them."""
        count, total, square = 0, 0.0, 0.0
        for x in batches:
            values = self.decibels(x).double()
            count += values.numel()
            total += float(values.sum())
            square += float(values.square().sum())
        mean = total / max(count, 1)
        variance = max(square / max(count, 1) - mean**2, 0.0)
        return self.set_statistics(mean, math.sqrt(variance))

    def set_statistics(self, mean: float, std: float) -> dict[str, float]:
        """Sets the statistics (dB).

        Raises:
            UserError: not finite, or a standard deviation of zero: the audio is silent.
        """
        if not (math.isfinite(mean) and math.isfinite(std) and std > 1e-3):
            raise UserError(f"statistics {mean:.3g} +- {std:.3g} dB: is all of the audio silent?")
        self.mean.fill_(mean)
        self.std.fill_(std)
        return {"mean": mean, "std": std}


class LogMel(Frontend):
    """Log-mel spectrogram; by default Slaney's mel scale and area normalisation, as librosa's.

    With `mel_scale` "htk" and `mel_norm` "none" as torchaudio's default.
    """

    name = "log_mel"

    def make_filters(self, n_freqs: int, min_hz: float, max_hz: float) -> Tensor:
        """Triangular mel filters (n_freqs, n_bins)."""
        rate, n_bins = self.config["sample_rate"], self.config["n_bins"]
        scale, norm = self.config["mel_scale"], self.config["mel_norm"]
        return mel_filters(n_freqs, n_bins, rate, min_hz, max_hz, scale, norm)


class LogMelStft(LogMel):
    """Three maps of mel bands: log-mel power, and magnitude and phase of a Fourier transform.

    As MT-SLVR's released code has them (Heggan et al., Interspeech 2023): the second transform has
    no window, its real and imaginary parts go through the mel filters each by itself, and of the
    complex number that they make come 10 log10 of its magnitude and its angle in radians.
    Mean and deviation are of each channel.

    Raises:
        UserError: `views` "fused": those have no phase.
    """

    name = "log_mel_stft"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        if self.config["views"] != "waveform":
            raise UserError("log_mel_stft needs waveforms; give frontend.views=waveform")
        self.output_size = (3, *self.output_size[1:])
        self.mean, self.std = torch.zeros(3), torch.ones(3)

    def decibels_of_frames(self, frames: Tensor) -> Tensor:
        """The three maps (B, 3, bins, frames) of stretches of sound (B, frames, n_fft)."""
        spectra = self.fourier(frames)
        real, imaginary = self.filtered(spectra.real), self.filtered(spectra.imag)
        square = real.square() + imaginary.square()
        magnitude = 5 * square.clamp_min(self.floor**2).log10()
        phase = torch.atan2(imaginary, real)
        stft = torch.stack([magnitude, phase], 1).transpose(2, 3)
        return torch.cat([super().decibels_of_frames(frames)[:, None], stft], 1)

    def normalised(self, decibels: Tensor) -> Tensor:
        """The three maps (B, 3, bins, frames) of mean 0 and deviation 1 each."""
        maps = (decibels - self.mean[:, None, None]) / self.std[:, None, None]
        last = self.config["channels_last"] and not kernels.traced()
        return maps.contiguous(memory_format=torch.channels_last) if last else maps

    @torch.no_grad()
    def fit_statistics(self, batches: Iterable[Tensor]) -> dict[str, Any]:
        """Computes mean and deviation of every channel over waveforms, keeps and returns them."""
        count, total, square = 0, torch.zeros(3).double(), torch.zeros(3).double()
        for x in batches:
            values = self.decibels(x).double()
            count += values.numel() // 3
            total += values.sum((0, 2, 3)).cpu()
            square += values.square().sum((0, 2, 3)).cpu()
        mean = total / max(count, 1)
        variance = (square / max(count, 1) - mean**2).clamp_min(0)
        return self.set_statistics(mean.tolist(), variance.sqrt().tolist())

    def set_statistics(self, mean: Any, std: Any) -> dict[str, Any]:
        """Sets the statistics, three of each: dB, dB and radians.

        Raises:
            UserError: not three finite values of each, or a deviation of zero.
        """
        means, deviations = (torch.as_tensor(value, dtype=torch.float32) for value in (mean, std))
        if not means.shape == deviations.shape == (3,):
            raise UserError(
                f"log_mel_stft has 3 means and 3 deviations, got {mean} and {std}; "
                "run audioinv statistics with this front end"
            )
        if not (means.isfinite().all() and deviations.isfinite().all() and deviations.min() > 1e-3):
            raise UserError(f"statistics {mean} +- {std}: is all of the audio silent?")
        self.mean.copy_(means)
        self.std.copy_(deviations)
        return {"mean": means.tolist(), "std": deviations.tolist()}


class LogFrequency(Frontend):
    """Bins of equal musical width, constant-Q-like: a pitch shift is a translation along the axis.

    `n_bins` triangular filters, spaced geometrically from `min_hz` (above 0) to `max_hz`, no
    narrower than the resolution of the Fourier transform.
    """

    name = "log_frequency"

    def make_filters(self, n_freqs: int, min_hz: float, max_hz: float) -> Tensor:
        """Triangles in log frequency (n_freqs, n_bins), each of unit sum."""
        _check_no_mel(self.config)
        if min_hz <= 0:
            raise UserError(f"log_frequency needs min_hz above 0, got {min_hz}")
        rate, n_bins = self.config["sample_rate"], self.config["n_bins"]
        if n_bins < 2:
            raise UserError(f"log_frequency needs at least 2 bins, got {n_bins}")
        step = math.log2(max_hz / min_hz) / (n_bins - 1)
        centres = min_hz * torch.exp2(step * torch.arange(n_bins))
        hz = torch.linspace(0, rate / 2, n_freqs)
        resolution = rate / (2 * (n_freqs - 1))
        width = torch.maximum(centres * (2**step - 1), torch.tensor(resolution))
        filters = (1 - (hz[:, None] - centres).abs() / width).clamp_min(0)
        return filters / filters.sum(0).clamp_min(TINY)


class Waveform(Frontend):
    """No spectrum: waveforms (B, T) -> (B, 1, 1, T), for networks with a front end of their own."""

    name = "waveform"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        if self.config["views"] != "waveform" or self.config["channels_last"]:
            raise UserError(
                "frontend waveform has no spectra; "
                "give frontend.views=waveform and frontend.channels_last=false"
            )
        self.output_size = (1, 1, self.n_samples)

    def make_filters(self, n_freqs: int, min_hz: float, max_hz: float) -> Tensor:
        """None, (n_freqs, 0)."""
        _check_no_mel(self.config)
        return torch.empty(n_freqs, 0)

    def forward(self, x: Tensor) -> Tensor:
        """Waveforms (B, T) -> (B, 1, 1, T), as they are or normalised."""
        return self.levelled(x)[:, None, None]

    def fit_statistics(self, batches: Iterable[Tensor]) -> dict[str, float]:
        """Nothing to normalise: mean 0, deviation 1."""
        return self.set_statistics(0.0, 1.0)


def _hann(n_fft: int) -> nn.Module:
    """Holds the window (n_fft,), which saved encoders know as spectrogram.window."""
    holder = nn.Module()
    holder.register_buffer("window", torch.hann_window(n_fft))
    return holder


def _blocks(filters: Tensor) -> list[tuple[slice, slice]]:
    """Slices of frequencies and of bins outside which the filters (n_freqs, n_bins) are zero."""
    blocks = []
    for first in range(0, filters.shape[1], BLOCK):
        bins = slice(first, min(first + BLOCK, filters.shape[1]))
        used = filters[:, bins].any(1).nonzero().flatten().tolist() or [0]
        blocks.append((slice(used[0], used[-1] + 1), bins))
    return blocks


def _check_choice(key: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise unknown(key, value, choices)


def _check_no_mel(config: Mapping[str, Any]) -> None:
    for key in ("mel_scale", "mel_norm"):
        if config[key] != "slaney":
            raise UserError(
                f"{config['name']} has no mel filters and {key} is {config[key]}; "
                f"leave frontend.{key} at slaney or give frontend=log_mel"
            )


def _check(
    rate: int, clip_s: float, n_fft: int, hop: int, n_bins: int, min_hz: float, max_hz: float
) -> None:
    if rate <= 0 or clip_s <= 0:
        raise UserError(f"sample_rate {rate} Hz and clip_s {clip_s} s must be above 0")
    clip = round(clip_s * rate)
    if not 0 < hop <= n_fft or n_fft >= 2 * clip:
        raise UserError(
            f"need 0 < hop <= n_fft < two clips ({2 * clip} samples), got hop {hop}, n_fft {n_fft}"
        )
    if n_bins < 1 or not 0 <= min_hz < max_hz <= rate / 2:
        raise UserError(
            f"need n_bins >= 1 and 0 <= min_hz < max_hz <= {rate / 2:g}, "
            f"got {n_bins}, {min_hz:g}, {max_hz:g}"
        )
