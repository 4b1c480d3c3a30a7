"""Pitch shift: every frequency times 2^(semitones / 12), the duration kept."""

from __future__ import annotations

import math

from torch import Tensor

from audioinv.audio.augment.resample import resample
from audioinv.audio.augment.signal import check_sample_rate
from audioinv.audio.augment.time_stretch import TimeStretch
from audioinv.audio.augment.vocoder import in_chunks, vocode, window_length
from audioinv.core.augmentation import Augmentation, Parameter, check_range, restore, working


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
    sized = True

    def __init__(
        self, sample_rate: int, min_semitones: float = -15.0, max_semitones: float = 15.0
    ) -> None:
        check_sample_rate(sample_rate)
        check_range("pitch_shift", min_semitones, max_semitones, (-36, 36), "semitones")
        self.n_fft = window_length(sample_rate)
        self.parameters = (Parameter("semitones", "semitones", min_semitones, max_semitones, 0.0),)

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        """Shifts `x` (B, T) by `params` (B, 1) semitones; differentiable in both."""
        clean, ratio = working(x), ratio_of(params[:, 0])
        shifted = in_chunks(self._shift, clean, 1 / ratio)
        return restore(clean, shifted, ~self.acts(params)).to(x.dtype)

    def joined(self, following: Augmentation) -> Augmentation | None:
        """Pitch shift and time stretch in one pass, where a time stretch follows."""
        if isinstance(following, TimeStretch) and following.n_fft == self.n_fft:
            return PitchShiftAndTimeStretch(self, following)
        return None

    def _shift(self, x: Tensor, speed: Tensor) -> Tensor:
        return resample_and_vocode(x, 1 / speed, speed, self.n_fft)


class PitchShiftAndTimeStretch(Augmentation):
    """A pitch shift, then a time stretch, with one vocoder instead of two.

    The vocoder has to play the resampled clip at 1 / ratio of its speed, to undo the change of
    duration; it plays it at rate / ratio instead.
    """

    first_order = False
    sized = True

    def __init__(self, shift: PitchShift, stretch: TimeStretch) -> None:
        self.name = f"{shift.name}+{stretch.name}"
        self.n_fft = shift.n_fft
        self.parameters = shift.parameters + stretch.parameters

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        """Changes `x` (B, T) by `params` (B, 2), semitones and rates; differentiable in both."""
        clean, ratio = working(x), ratio_of(params[:, 0])
        changed = in_chunks(self._change, clean, params[:, 1] / ratio, ratio)
        return restore(clean, changed, ~self.acts(params)).to(x.dtype)

    def _change(self, x: Tensor, speed: Tensor, ratio: Tensor) -> Tensor:
        return resample_and_vocode(x, ratio, speed, self.n_fft)


def ratio_of(semitones: Tensor) -> Tensor:
    """What frequencies are multiplied by, in double precision.

    In single precision the last bit depends on the place in the batch, for processors take eight
    numbers at once and the rest one by one; over a clip it adds up to a shift that can be measured.
    """
    return (semitones.double() / 12).exp2()


def resample_and_vocode(x: Tensor, ratio: Tensor, speed: Tensor, n_fft: int) -> Tensor:
    """`x` (B, T) with every frequency times `ratio` (B,), played at `speed * ratio` (B,); (B, T).

    Args:
        speed: of the vocoder. n_fft: its window, in samples.
    """
    length = x.shape[-1]
    whole = length / float(ratio.detach().min())
    read = length * float(speed.detach().max()) + 2 * n_fft
    faster = resample(x, ratio, math.ceil(min(whole, read)))
    return vocode(faster, speed, length, n_fft)
