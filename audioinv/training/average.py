"""An exponential moving average of an encoder on its way: it may be better than its end."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from audioinv.core.encoder import AmortisedEncoder


class Average:
    """The average of all an encoder's numbers, weights and running statistics.

        average <- keep * average + (1 - keep) * encoder,   keep = min(decay, (1 + n) / (10 + n))

    after step n, from 0: while there are few steps, the average forgets its random beginning sooner
    (as TensorFlow's ExponentialMovingAverage with num_updates).

    Args:
        encoder: that is trained. decay: above 0, below 1.
    """

    def __init__(self, encoder: AmortisedEncoder, decay: float) -> None:
        self.encoder = encoder
        self.decay = decay
        self.values = {name: value.clone() for name, value in encoder.state_dict().items()}

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Takes in the encoder after step number `step`."""
        keep = min(self.decay, (1 + step) / (10 + step))
        for name, new in self.encoder.state_dict().items():
            own = self.values[name] = self.values[name].to(new.device, new.dtype)
            if own.is_floating_point():
                own.lerp_(new, 1 - keep)
            else:
                own.copy_(new)

    def load(self, values: Mapping[str, Tensor]) -> None:
        """Goes on from an average of before.

        Raises:
            KeyError: of another encoder.
        """
        self.values = {name: values[name].clone() for name in self.values}

    def give(self) -> None:
        """The encoder becomes its average."""
        self.encoder.load_state_dict(self.values)
