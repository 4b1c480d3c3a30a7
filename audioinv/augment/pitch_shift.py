"""Pitch shift: every frequency times 2^(semitones / 12), the duration kept."""

from __future__ import annotations

import math

from torch import Tensor

from audioinv.augment.resample import resample
from audioinv.augment.signal import check_sample_rate
from audioinv.augment.vocoder import in_chunks, vocode, window_length
from audioinv.core.augmenting import check_range, restore, working
from audioinv.core.bank import Augmentation, Parameter


class PitchShift(Augmentation):
    """Resamples by 2^(semitones / 12) and undoes the change of duration with a phase vocoder.

    Args:
        sample_rate: in Hz; sets the window of the vocoder.
        min_semitones, max_semitones: what `sample` draws from, within -36 to 36.

    Raises:
        UserError: a range or sample rate that is not allowed.
    """

    name = "pitch_shift"
    first_order = False

    def __init__(
        self, sample_rate: int, min_semitones: float = -15.0, max_semitones: float = 15.0
    ) -> None:
        check_sample_rate(sample_rate)
        check_range("pitch_shift", min_semitones, max_semitones, (-36, 36), "semitones")
        self.n_fft = window_length(sample_rate)
        self.parameters = (Parameter("semitones", "semitones", min_semitones, max_semitones, 0.0),)

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        """Shifts `x` (B, T) by `params` (B, 1) semitones; differentiable in both."""
        clean, ratio = working(x), (params[:, 0] / 12).exp2()
        shifted = in_chunks(self._shift, clean, ratio)
        return restore(clean, shifted, ~self.acts(params)).to(x.dtype)

    def _shift(self, x: Tensor, ratio: Tensor) -> Tensor:
        length = x.shape[-1]
        faster = resample(x, ratio, math.ceil(length / float(ratio.detach().min())))
        return vocode(faster, 1 / ratio, length, self.n_fft)
