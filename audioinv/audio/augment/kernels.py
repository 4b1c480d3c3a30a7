"""Loops for the processor: what the vocoder and the resampler do, without a gradient.

In tensor operations every intermediate result travels through memory; here it stays in registers.
Each kernel has its differentiable twin in tensors, which is also the one that runs on a GPU, and a
test that both agree. Arrays are of one precision throughout, single or double.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

ROUNDING = {"reassoc", "contract", "arcp", "nsz", "nnan"}  # may round otherwise than written


def applies(*tensors: Tensor) -> bool:
    """Whether these tensors lie on the CPU and nobody wants a gradient with respect to them."""
    wanted = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    return all(t.device.type == "cpu" for t in tensors) and not wanted and not traced()


def traced() -> bool:
    """Whether torch writes down what is done: it sees its own operations only, and no sizes."""
    return torch.jit.is_tracing() or torch.compiler.is_compiling()


def kernel(function: Any) -> Any:
    """A function of arrays and numbers, compiled."""
    return njit(cache=True, nogil=True, fastmath=ROUNDING)(function)


def read(spectra: Tensor, position: Tensor, silence: float, nothing: float) -> Tensor:
    """See `vocoder._read`, whose constants are `silence` and `nothing`; peaks reach two bins."""
    out = torch.empty(*position.shape, spectra.shape[-1], dtype=spectra.dtype)
    frames = torch.empty(spectra.shape[1:], dtype=spectra.real.dtype)
    whole = torch.int32 if frames.dtype == torch.float32 else torch.int64
    _read(
        spectra.detach().contiguous().numpy(),
        position.detach().double().numpy(),
        (silence, nothing),
        frames.numpy(),
        frames[0].clone().view(whole).numpy(),
        out.numpy(),
    )
    return out


@kernel
def _read(  # type: ignore[no-untyped-def]
    spectra, position, quiet, levels, winners, out
):
    """`levels` (N, F) and `winners` (F,), whole numbers of the same size, are room to work in."""
    n_frames, n_bins = levels.shape
    phasors = np.empty((n_frames, n_bins), spectra.dtype)
    turn = np.empty(n_bins, spectra.dtype)
    turned = np.zeros(n_bins + 4, spectra.dtype)  # two bins more at either end, never a peak
    marks = np.full(n_bins + 4, -1, winners.dtype)
    level = np.empty(n_bins, levels.dtype)
    for b in range(spectra.shape[0]):
        _polar(spectra[b], quiet, levels, phasors)
        turn[:] = 1
        follower = 0
        for k in range(len(position)):
            whole = np.floor(position[k, b])
            weight = levels.dtype.type(position[k, b] - whole)
            before, after = min(int(whole), n_frames - 1), min(int(whole) + 1, n_frames - 1)
            nearest = min(int(np.rint(position[k, b])), n_frames - 1)
            _mix(levels[before], levels[after], weight, level)
            if k > 0:
                _turn(phasors[follower], phasors[nearest], turn, turned[2:-2])
                _find_peaks(level.view(winners.dtype), marks, winners)
                for f in range(n_bins):
                    turn[f] = turned[winners[f]]
            _put(level, phasors[nearest], turn, out[k, b])
            follower = min(nearest + 1, n_frames - 1)


# Each of these has few arrays, so that the compiler can see that none of them overlap and works on
# many bins at once.


@kernel
def _polar(spectra, quiet, levels, phasors):  # type: ignore[no-untyped-def]
    """Magnitudes and unit phasors of one clip's spectra (N, F)."""
    kind = levels.dtype.type
    loudest = kind(0)
    for n in range(len(spectra)):
        row, power = spectra[n], levels[n]
        for f in range(len(row)):
            power[f] = row[f].real * row[f].real + row[f].imag * row[f].imag
        loudest = max(loudest, power.max())
    floor = max(kind(quiet[0] * quiet[0]) * loudest, kind(quiet[1]))
    for n in range(len(spectra)):
        row, level, phasor = spectra[n], levels[n], phasors[n]
        for f in range(len(row)):
            power = level[f]
            inverse = kind(1) / np.sqrt(max(power, floor))
            level[f] = power * inverse
            real = row[f].real * inverse if power > floor else kind(1)
            phasor[f] = complex(real, row[f].imag * inverse if power > floor else kind(0))


@kernel
def _mix(a, b, weight, out):  # type: ignore[no-untyped-def]
    for f in range(len(out)):
        out[f] = a[f] + weight * (b[f] - a[f])


@kernel
def _turn(to, start, turn, out):  # type: ignore[no-untyped-def]
    """`turn` times what lies between two phasors."""
    for f in range(len(out)):
        real = to[f].real * start[f].real + to[f].imag * start[f].imag
        imag = to[f].imag * start[f].real - to[f].real * start[f].imag
        out[f] = complex(
            turn[f].real * real - turn[f].imag * imag, turn[f].real * imag + turn[f].imag * real
        )


@kernel
def _find_peaks(level, marks, winners):  # type: ignore[no-untyped-def]
    """The strongest bin within two of every bin, plus two; see `vocoder._peaks`.

    `level` are the bits of positive numbers, which rise as the numbers do.
    """
    for f in range(len(level)):
        marks[f + 2] = (level[f] & ~7) | (f & 7)
    for f in range(len(level)):
        two = max(marks[f], marks[f + 1]), max(marks[f + 2], marks[f + 3])
        winners[f] = max(two[0], two[1], marks[f + 4])
    for f in range(len(level)):
        winners[f] = f + ((winners[f] - f + 4) & 7) - 2


@kernel
def _put(level, phasor, turn, out):  # type: ignore[no-untyped-def]
    for f in range(len(out)):
        real = phasor[f].real * turn[f].real - phasor[f].imag * turn[f].imag
        imag = phasor[f].real * turn[f].imag + phasor[f].imag * turn[f].real
        out[f] = complex(level[f] * real, level[f] * imag)


def overlap_add(frames: Tensor, window: Tensor, start: int, length: int) -> Tensor:
    """See `vocoder._synthesise`: frames (K, B, n), a quarter of n apart, windowed and added up."""
    out = torch.zeros(frames.shape[1], length, dtype=frames.dtype)
    _overlap_add(frames.detach().numpy(), window.numpy(), start, out.numpy())
    return out


@kernel
def _overlap_add(frames, window, start, out):  # type: ignore[no-untyped-def]
    n_frames, n_clips, n = frames.shape
    length = out.shape[1]
    covered = np.zeros(length, out.dtype)
    for k in range(n_frames):
        first = k * (n // 4) - start
        low, high = max(first, 0), min(first + n, length)
        if low < high:
            part = window[low - first : high - first]
            _add_product(part, part, covered[low:high])
            for b in range(n_clips):
                _add_product(frames[k, b, low - first : high - first], part, out[b, low:high])
    for b in range(n_clips):
        out[b] /= covered


@kernel
def _add_product(a, b, out):  # type: ignore[no-untyped-def]
    for t in range(len(out)):
        out[t] += a[t] * b[t]


def low_pass(spectra: Tensor, cut: Tensor, width: float, bins: int, gains: Tensor) -> None:
    """Multiplies `spectra` (B, F) by `gains` (F,), complex, and low-passes them, in place.

    All passes up to `cut` (B,) - `width`, nothing from `cut` on; `bins` of a spectrum are 1.
    """
    _low_pass(spectra.numpy(), cut.detach().double().numpy(), width, bins, gains.numpy())


@kernel
def _low_pass(spectra, cut, width, bins, gains):  # type: ignore[no-untyped-def]
    n_bins = spectra.shape[1]
    for b in range(len(spectra)):
        first = min(max(int((cut[b] - width) * bins), 0), n_bins)
        last = min(max(int(np.ceil(cut[b] * bins)), first), n_bins)
        _multiply(spectra[b, :first], gains[:first])
        for k in range(first, last):
            passed = min(max((cut[b] - k / bins) / width, 0.0), 1.0)
            spectra[b, k] *= gains[k] * gains.real.dtype.type(passed)
        spectra[b, last:] = 0


@kernel
def _multiply(x, y):  # type: ignore[no-untyped-def]
    for k in range(len(x)):
        real = x[k].real * y[k].real - x[k].imag * y[k].imag
        imag = x[k].real * y[k].imag + x[k].imag * y[k].real
        x[k] = complex(real, imag)


def fades(rise: Tensor, fall: Tensor, shape: Tensor, length: int, curves: Tensor) -> Tensor:
    """Factors (B, length) of fades over the first `rise` (B,) and the last `fall` (B,) samples.

    `curves` (3, N + 1) are gains at u = 0 ... 1, between which lines are drawn; the row `shape`
    (B,) of them is used.
    """
    out = torch.ones(len(rise), length, dtype=rise.dtype)
    _fades(*(t.detach().contiguous().numpy() for t in (rise, fall, shape, curves, out)))
    return out


@kernel
def _fades(rise, fall, shape, curves, out):  # type: ignore[no-untyped-def]
    for b in range(len(out)):
        curve = curves[int(shape[b])]
        _fade(out[b], rise[b], curve)
        _fade(out[b, ::-1], fall[b], curve)


@kernel
def _fade(out, samples, curve):  # type: ignore[no-untyped-def]
    if samples <= 1:
        return
    steps = len(curve) - 1
    scale = out.dtype.type(steps) / (samples - out.dtype.type(1))
    for t in range(min(len(out), int(np.ceil(samples)))):
        u = out.dtype.type(t) * scale
        k = min(int(u), steps - 1)
        rest = min(u - out.dtype.type(k), out.dtype.type(1))
        out[t] *= curve[k] + rest * (curve[k + 1] - curve[k])


def spline(knots: Tensor, step: Tensor, last: int, length: int) -> Tensor:
    """The cubic B-spline of `knots` (B, N) at `step` (B,) times 0 ... length - 1; (B, length).

    From the position `last + 1` on it is zero; see `resample.resample`.
    """
    out = torch.empty(len(knots), length, dtype=knots.dtype)
    _spline(knots.detach().numpy(), step.detach().double().numpy(), last, out.numpy())
    return out


@kernel
def _spline(knots, step, last, out):  # type: ignore[no-untyped-def]
    index, t = np.empty(out.shape[1], np.int64), np.empty(out.shape[1], knots.dtype)
    for b in range(len(out)):
        inside = min(out.shape[1], int(np.ceil((last + 1) / step[b])))
        while inside > 0 and np.floor((inside - 1) * step[b]) > last:
            inside -= 1
        _find(step[b], index[:inside], t)
        _interpolate(knots[b], index[:inside], t, out[b])
        out[b, inside:] = 0


@kernel
def _find(step, index, t):  # type: ignore[no-untyped-def]
    """Whole and fractional parts of the positions: by themselves, to be found many at once."""
    for n in range(len(index)):
        position = n * step
        index[n] = np.int64(position)
        t[n] = position - index[n]


@kernel
def _interpolate(knots, index, t, out):  # type: ignore[no-untyped-def]
    kind = knots.dtype.type
    sixth, half = kind(1 / 6), kind(0.5)
    for n in range(len(index)):
        i, u = index[n], t[n]
        p, q, r, s = knots[i], knots[i + 1], knots[i + 2], knots[i + 3]
        cubic = (s - p) * sixth + (q - r) * half
        square = (p + r) * half - q
        flat = (p + kind(4) * q + r) * sixth
        out[n] = ((cubic * u + square) * u + (r - p) * half) * u + flat


def power(spectra: Tensor) -> Tensor:
    """Squared magnitudes of `spectra`, of any shape."""
    out = torch.empty(spectra.shape, dtype=spectra.real.dtype)
    _power(spectra.detach().contiguous().flatten().numpy(), out.view(-1).numpy())
    return out


@kernel
def _power(spectra, out):  # type: ignore[no-untyped-def]
    for k in range(len(out)):
        out[k] = spectra[k].real * spectra[k].real + spectra[k].imag * spectra[k].imag


def add_noise(x: Tensor, noise: Tensor, first: Tensor, snr_db: Tensor) -> Tensor:
    """`x` (B, T) plus noise, `noise` (N,) from `first` (B,) on, at the ratios `snr_db` (B,)."""
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    arrays = (t.detach().contiguous().numpy() for t in (x, noise, first))
    _add_noise(*arrays, snr_db.detach().double().numpy(), out.numpy())
    return out


@kernel
def _add_noise(x, noise, first, snr_db, out):  # type: ignore[no-untyped-def]
    for b in range(len(x)):
        own = noise[first[b] : first[b] + x.shape[1]]
        gain = _rms(x[b]) / _rms(own) * 10.0 ** (-snr_db[b] / 20)
        _add_multiple(x[b], own, x.dtype.type(gain), out[b])


@kernel
def _rms(x):  # type: ignore[no-untyped-def]
    total = x.dtype.type(0)
    for t in range(len(x)):
        total += x[t] * x[t]
    return np.sqrt(max(total / x.dtype.type(len(x)), np.finfo(x.dtype).tiny))


@kernel
def _add_multiple(x, y, factor, out):  # type: ignore[no-untyped-def]
    for t in range(len(x)):
        out[t] = x[t] + factor * y[t]


def mask(x: Tensor, params: Tensor, noise: Tensor, first: Tensor, edge: int) -> Tensor:
    """See `time_mask.TimeMask.apply`: `x` (B, T) masked by `params` (B, 4), edges of `edge`.

    A clip's noise is `noise` (N,) from `first` (B,) on.
    """
    out = x.detach().clone(memory_format=torch.contiguous_format)
    arrays = (t.detach().contiguous().numpy() for t in (params.double(), noise, first, out))
    _mask(*arrays, edge)
    return out


@kernel
def _mask(params, noise, first, out, edge):  # type: ignore[no-untyped-def]
    kind, length = out.dtype.type, out.shape[1]
    for b in range(len(out)):
        start, size = params[b, 0] * length, params[b, 1] * length
        level = _rms(out[b]) if params[b, 2] != 0 else kind(0)
        low, high = max(int(start) - edge, 0), min(int(start + size) + edge + 1, length)
        for t in range(low, high):
            since = t + 0.5 - start
            masked = kind(_smooth_step(since, edge) - _smooth_step(since - size, edge))
            out[b, t] += masked * (level * noise[first[b] + t] - out[b, t])


@kernel
def _smooth_step(samples, edge):  # type: ignore[no-untyped-def]
    u = min(max(samples / edge + 0.5, 0.0), 1.0)
    return u * u * (3 - 2 * u)
