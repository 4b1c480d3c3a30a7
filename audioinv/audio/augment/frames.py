"""Loops for the processor: what the fused route does with frames, without a gradient.

As in `kernels`, each has its twin in tensors (in `fused`), which runs on a GPU.
"""

from __future__ import annotations

import torch
from torch import Tensor

from audioinv.audio.augment.kernels import kernel


def cut(source: Tensor, times: Tensor, shift: Tensor, early: Tensor, late: Tensor) -> Tensor:
    """Frames (b, frames, n) of `source` (b, S), which is silent before and after.

    Args:
        times: (frames, n), samples of the clip, in a row but where they are mirrored at an end.
        shift: (b,). early, late: (b, frames), what is added to times before `shift`, and to those
            from it on, for the place in the source.
    """
    out = torch.empty(len(source), *times.shape, dtype=source.dtype)
    _cut(*(t.detach().contiguous().numpy() for t in (source, times, shift, early, late, out)))
    return out


@kernel
def _cut(source, times, shift, early, late, out):  # type: ignore[no-untyped-def]
    n = times.shape[1]
    for b in range(len(source)):
        for f in range(len(times)):
            first, last = times[f, 0], times[f, n - 1]
            in_a_row = last - first == n - 1
            if in_a_row and last < shift[b]:
                _copy(source[b], first + early[b, f], out[b, f])
            elif in_a_row and first >= shift[b]:
                _copy(source[b], first + late[b, f], out[b, f])
            else:
                _pick(source[b], times[f], shift[b], early[b, f], late[b, f], out[b, f])


@kernel
def _copy(source, start, out):  # type: ignore[no-untyped-def]
    low = min(max(-start, 0), len(out))
    high = max(min(len(source) - start, len(out)), low)
    out[:low] = 0
    out[low:high] = source[start + low : start + high]
    out[high:] = 0


@kernel
def _pick(source, times, shift, early, late, out):  # type: ignore[no-untyped-def]
    for n in range(len(out)):
        place = times[n] + (early if times[n] < shift else late)
        out[n] = source[place] if 0 <= place < len(source) else 0


def change(frames: Tensor, times: Tensor, gain: Tensor, added: Tensor) -> Tensor:
    """`frames` (b, frames, n) times `gain`, plus `added`, both (b, T), at `times`; in place."""
    _change(*(t.detach().contiguous().numpy() for t in (frames, times, gain, added)))
    return frames


@kernel
def _change(frames, times, gain, added):  # type: ignore[no-untyped-def]
    n = times.shape[1]
    for b in range(len(frames)):
        for f in range(len(times)):
            first = times[f, 0]
            if times[f, n - 1] - first == n - 1:
                part = slice(first, first + n)
                _multiply_and_add(frames[b, f], gain[b, part], added[b, part])
            else:
                for k in range(n):
                    t = times[f, k]
                    frames[b, f, k] = frames[b, f, k] * gain[b, t] + added[b, t]


@kernel
def _multiply_and_add(frame, gain, added):  # type: ignore[no-untyped-def]
    for k in range(len(frame)):
        frame[k] = frame[k] * gain[k] + added[k]
