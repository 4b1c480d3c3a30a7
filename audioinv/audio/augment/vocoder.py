"""A batched phase vocoder whose reading rate differs from example to example.

Identity phase locking after Laroche and Dolson, "Improved phase vocoder time-scale modification of
audio" (1999): all bins around a spectral peak turn by the same angle, so the shape of a partial
survives. Phases are unit phasors and their sums running products; there is no trigonometry. With
n_k the frame nearest to where output k reads, P_n(f) its phases and p the strongest bin near f,
output k has the phases P_{n_k}(f) R_k(f), R_{k+1}(f) = R_k(p) P_{n_k + 1}(p) / P_{n_{k+1}}(p).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from audioinv.audio.augment import kernels

OVERLAP = 4  # frames over every sample
REACH = 2  # half the main lobe of the Hann window, in bins
SILENCE = 1e-6  # a bin this far below the loudest of its clip has no phase worth following
NOTHING = 1e-24  # power below which there is silence; the cube of its inverse root is still finite


def window_length(sample_rate: int) -> int:
    """The power of two nearest to 64 ms, in samples: 512 at 8 kHz, 1024 at 16 kHz."""
    return max(16, 2 ** round(math.log2(0.064 * sample_rate)))


def vocode(x: Tensor, rate: Tensor, length: int, n_fft: int) -> Tensor:
    """Plays `x` at `rate` times its speed without changing its pitch.

    Args:
        x: (B, L), silent before and after. rate: (B,), positive, 2 is twice as fast. On the CPU,
            wherever `x` is, it tells sizes without waiting for a GPU.
        length: samples of the result. n_fft: window in samples, a multiple of 4.

    Returns:
        (B, length); its sample t plays what `x` has at `rate * t`. Differentiable in `x` and,
        almost everywhere, in `rate`: through the weights of the two frames around a read position.
    """
    hop = n_fft // OVERLAP
    n_out = length // hop + 1
    last = math.ceil(float(((n_out - 1) * rate.detach()).max()))
    position = torch.arange(n_out, device=x.device)[:, None] * rate.to(x.device)  # (n_out, B)
    spectra = _analyse(x, n_fft, last + 2)
    return _synthesise(_read(spectra, position), length, n_fft)


def in_chunks(
    process: Callable[..., Tensor], x: Tensor, speed: Tensor, *others: Tensor, least: int = 8
) -> Tensor:
    """`process(x, speed, *others)` on few examples (B, T) of similar speed (B,) at a time.

    Keeps the work in the processor's cache and pads no slow example to the length of a fast one.

    Args:
        least: examples at a time, however long, on a CPU; twice as many let twice as many samples.
    """
    size = max(least, least * 2**15 // x.shape[-1]) if x.device.type == "cpu" else 256
    order = speed.detach().argsort()
    arguments = (x, speed, *others)
    parts = [process(*(a[rows.to(a.device)] for a in arguments)) for rows in order.split(size)]
    return torch.cat(parts)[order.argsort().to(x.device)]


def _analyse(x: Tensor, n_fft: int, n_frames: int) -> Tensor:
    """Centred spectra (B, N, F) of `x`: at most `n_frames`, and none after the first silent one."""
    hop = n_fft // OVERLAP
    n_frames = min(n_frames, -(-(x.shape[-1] + n_fft // 2) // hop) + 1)
    total = (n_frames - 1) * hop + n_fft
    padded = F.pad(x, (n_fft // 2, total - n_fft // 2 - x.shape[-1]))  # cuts what is not read
    return torch.fft.rfft(padded.unfold(-1, n_fft, hop) * _window(n_fft, x.device, x.dtype))


def _read(spectra: Tensor, position: Tensor) -> Tensor:
    """Output spectra (K, B, F) read from (B, N, F) at fractional frames `position` (K, B)."""
    if kernels.applies(spectra, position):
        return kernels.read(spectra, position, SILENCE, NOTHING)
    n_clips, n_frames, n_bins = spectra.shape
    magnitude, phasor = _polar(spectra)
    first = torch.arange(n_clips, device=spectra.device) * n_frames

    def at(values: Tensor, frame: Tensor) -> Tensor:
        rows = (first + frame.clamp_max(n_frames - 1)).flatten()
        return values.flatten(0, 1).index_select(0, rows).view(*frame.shape, n_bins)

    before, nearest = position.detach().floor().long(), position.detach().round().long()
    weight = (position - before).to(magnitude.dtype)[..., None]
    level = torch.lerp(at(magnitude, before), at(magnitude, before + 1), weight)
    phase = at(phasor, nearest)
    steps = at(phasor, nearest[:-1] + 1) * phase[1:].conj()
    return phase * _rotations(steps, _peaks(level.detach())) * level


def _polar(spectra: Tensor) -> tuple[Tensor, Tensor]:
    """Magnitudes and unit phasors of spectra (B, N, F); a bin that is too quiet has the phase 0.

    Without `abs` and its square roots of what may be zero: four times faster, and smooth.
    """
    power = spectra.real.square() + spectra.imag.square()
    floor = (SILENCE**2 * power.detach().amax((1, 2), keepdim=True)).clamp_min(NOTHING)
    inverse = torch.maximum(power, floor).rsqrt()
    return power * inverse, torch.where(power > floor, spectra * inverse, 1)


def _peaks(level: Tensor) -> Tensor:
    """The index of the strongest bin within reach of every bin of `level` (K, B, F).

    A pool that returns places is forty times slower than one that does not. So the place of every
    bin, modulo 8, is written over the last three bits of its level, and read from the winner.
    """
    whole = torch.int32 if level.dtype == torch.float32 else torch.int64
    bins = torch.arange(level.shape[-1], device=level.device, dtype=whole)
    marked = ((level.view(whole) & ~7) | (bins & 7)).view(level.dtype)
    winner = F.max_pool1d(marked, 2 * REACH + 1, 1, REACH).view(whole)
    return (bins + ((winner - bins + 4) & 7) - 4).long()


def _rotations(steps: Tensor, peaks: Tensor) -> Tensor:
    """The running product R_{k+1} = (R_k D_k)[peaks_{k+1}] (K, B, F) of `steps` (K - 1, B, F)."""
    rotations = [torch.ones_like(peaks[0], dtype=steps.dtype)]
    for step, peak in zip(steps, peaks[1:], strict=True):
        rotations.append((rotations[-1] * step).gather(-1, peak))
    return torch.stack(rotations)


def _synthesise(spectra: Tensor, length: int, n_fft: int) -> Tensor:
    """Windowed overlap-add (B, length) of spectra (K, B, F)."""
    window = _window(n_fft, spectra.device, spectra.real.dtype)
    frames, start = torch.fft.irfft(spectra, n_fft), n_fft // 2
    if kernels.applies(frames):
        return kernels.overlap_add(frames, window, start, length)
    frames = frames * window
    covered = _overlap_add(window.square().expand(len(frames), 1, n_fft))[:, start : start + length]
    return _overlap_add(frames)[:, start : start + length] / covered


def _overlap_add(frames: Tensor) -> Tensor:
    """(K, B, n_fft) -> (B, (K + 3) * hop), each frame a hop later than the one before."""
    n_frames, n_clips, n_fft = frames.shape
    parts = frames.unflatten(-1, (OVERLAP, -1)).unbind(2)
    total = frames.new_zeros(n_frames + OVERLAP - 1, n_clips, n_fft // OVERLAP)
    for j, part in enumerate(parts):
        total[j : j + n_frames] += part
    return total.transpose(0, 1).flatten(1)


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # what is cached must serve training too
def _window(n_fft: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    return torch.hann_window(n_fft, device=device, dtype=dtype)
