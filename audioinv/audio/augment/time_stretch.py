"""Time stretch: another speed at the same pitch."""

from __future__ import annotations

from torch import Tensor

from audioinv.audio.augment.signal import check_sample_rate
from audioinv.audio.augment.vocoder import in_chunks, vocode, window_length
from audioinv.core.augmentation import Augmentation, Parameter, check_range, restore, working


class TimeStretch(Augmentation):
    """Plays a clip `rate` times as fast; what is too long is cut, what is missing is silence.

    Args:
        sample_rate: in Hz; sets the window of the vocoder.
        min_rate, max_rate: what `sample` draws from, within 0.1 to 10; 2 is twice as fast.

    Raises:
        UserError: a range or sample rate that is not allowed.
    """

    name = "time_stretch"
    first_order = False
    sized = True

    def __init__(self, sample_rate: int, min_rate: float = 0.5, max_rate: float = 1.5) -> None:
        check_sample_rate(sample_rate)
        check_range("time_stretch", min_rate, max_rate, (0.1, 10), "times the speed")
        self.n_fft = window_length(sample_rate)
        self.parameters = (Parameter("rate", "times the speed", min_rate, max_rate, 1.0),)

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        """Stretches `x` (B, T) by the rates `params` (B, 1); differentiable in both."""
        clean = working(x)
        stretched = in_chunks(self._stretch, clean, params[:, 0])
        return restore(clean, stretched, ~self.acts(params)).to(x.dtype)

    def _stretch(self, x: Tensor, rate: Tensor) -> Tensor:
        return vocode(x, rate, x.shape[-1], self.n_fft)
