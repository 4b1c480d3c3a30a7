"""Three augmentations of series (B, 4, n)."""

from __future__ import annotations

import torch
from torch import Tensor

from audioinv.core.augmentation import Augmentation, Parameter, check_range, restore
from tests.modality_series.recordings import CHANNELS


class Scale(Augmentation):
    """Makes all channels larger or smaller."""

    name = "scale"

    def __init__(self, max_db: float = 12.0) -> None:
        check_range("scale", 0, max_db, (0, 60), "dB")
        self.parameters = (Parameter("gain", "dB", -max_db, max_db, 0.0),)

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        return x * (10 ** (params / 20)).to(x.dtype)[:, :, None]


class ChannelDropout(Augmentation):
    """Takes a part of one channel away, up to all of it."""

    name = "channel_dropout"

    def __init__(self, max_amount: float = 1.0) -> None:
        check_range("channel_dropout", 0, max_amount, (0, 1), "of a channel")
        self.parameters = (
            Parameter("amount", "of a channel", 0.0, max_amount, 0.0),
            Parameter("channel", "", 0.0, CHANNELS, 0.0, differentiable=False, quantity=False),
        )

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        place = params[:, 1].detach().long().clamp(0, CHANNELS - 1)
        gone = torch.nn.functional.one_hot(place, CHANNELS) * params[:, :1]
        return x * (1 - gone).to(x.dtype)[:, :, None]


class Delay(Augmentation):
    """Moves a series in time, in a circle, with straight lines between its moments."""

    name = "delay"

    def __init__(self, max_shift: float = 0.5) -> None:
        check_range("delay", 0, max_shift, (0, 1), "of the series")
        self.parameters = (Parameter("shift", "of the series", -max_shift, max_shift, 0.0),)

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        n = x.shape[2]
        where = torch.arange(n, device=x.device) - params.double() * n
        before = where.detach().floor()
        share = (where - before)[:, None].to(x.dtype)
        index = (before.long() % n)[:, None].expand_as(x)
        moved = (1 - share) * x.gather(2, index) + share * x.gather(2, (index + 1) % n)
        return restore(x, moved, params.detach().eq(0))


AUGMENTATIONS: dict[str, type[Augmentation]] = {
    kind.name: kind for kind in (Delay, Scale, ChannelDropout)
}
