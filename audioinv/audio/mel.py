"""Mel scales, and triangular filters on them."""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor

MEL_SCALES = ("slaney", "htk")
MEL_NORMS = ("slaney", "none")


def mel_filters(
    n_freqs: int, n_bins: int, rate: int, min_hz: float, max_hz: float, scale: str, norm: str
) -> Tensor:
    """Triangles (n_freqs, n_bins) whose edges are equally far apart in mels.

    The bytes are those of torchaudio's `melscale_fbanks`, with which encoders were saved. Warns of
    triangles between two frequencies of the transform: they see nothing.

    Args:
        n_freqs: of the transform, from 0 to half of `rate` Hz. min_hz, max_hz: the outer edges.
        scale: "slaney" or "htk". norm: "slaney" gives triangles an area of 1, "none" a peak of 1.
    """
    edges = _hertz(torch.linspace(_mel(min_hz, scale), _mel(max_hz, scale), n_bins + 2), scale)
    hz = torch.linspace(0, rate // 2, n_freqs)[:, None]  # whole Hz, as torchaudio has it
    widths = edges.diff()
    rising, falling = (hz - edges[:-2]) / widths[:-1], (edges[2:] - hz) / widths[1:]
    filters = torch.minimum(rising, falling).clamp_min(0)
    if blind := int((filters == 0).all(0).sum()):
        warnings.warn(
            f"{blind} of {n_bins} mel filters hold none of the {n_freqs} frequencies; "
            "lower n_bins or raise n_fft",
            stacklevel=2,
        )
    return filters if norm == "none" else filters * (2 / (edges[2:] - edges[:-2]))


def _mel(hz: float, scale: str) -> float:
    """`hz` on a mel scale.

    "htk": 2595 log10(1 + hz / 700) (O'Shaughnessy, 1987). "slaney": three mels per 200 Hz up to
    1 kHz, then 27 mels per factor of 6.4 (Slaney, Auditory Toolbox, 1998).
    """
    if scale == "htk":
        return 2595 * math.log10(1 + hz / 700)
    return hz * 3 / 200 if hz < 1000 else 15 + 27 * math.log(hz / 1000) / math.log(6.4)


def _hertz(mel: Tensor, scale: str) -> Tensor:
    """The inverse of `_mel`."""
    if scale == "htk":
        return 700 * (10 ** (mel / 2595) - 1)
    above = 1000 * torch.exp(math.log(6.4) / 27 * (mel - 15))
    return torch.where(mel < 15, 200 / 3 * mel, above)
