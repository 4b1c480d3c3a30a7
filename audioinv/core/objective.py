"""What pre-training descends: views in, losses out. SimCLR and MoCo are in `contrast`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from audioinv.core.bank import AugmentationBank, ViewParameters, Views
from audioinv.core.penalty import PenaltyDraws
from audioinv.core.precision import wide

Losses = dict[str, Tensor]
"""Name -> a scalar."""


class Draws(Protocol):
    """A step, as far as what is random in it goes.

    Attributes:
        total: clips of the batch, over all processes. own: which of them this process holds.
    """

    total: int
    own: slice

    def generator(self, purpose: str, *key: int) -> torch.Generator:
        """The generator of one purpose at this step, equal on all processes."""
        ...


class Shown(NamedTuple):
    """What a step shows the network.

    views: view 1 and view 2, (B, ...); a loss may want the clips as they were beside them.
    params: how both were made, augmentation name -> (B, P).
    draws: of the gradient penalty; view 1 then has its graph.
    """

    views: Views
    params: ViewParameters
    draws: PenaltyDraws | None = None


class Objective(nn.Module):
    """A loss of your own: a subclass holds the encoder, and its `forward` gives named losses.

        class Distance(ai.Objective):
            def __init__(self, encoder, bank):
                super().__init__(bank)
                self.encoder = encoder

            def forward(self, shown, corner):
                first, second = (self.encoder(view, corner) for view in shown.views)
                return {"distance": (first - second).square().mean()}

        ai.pretrain(encoder, bank, pack, "exp/mine", objective=Distance, steps=600)

    What it holds is trained, and is in the checkpoints. `total`, `views` and `follow` may be
    replaced too.

    Args:
        bank: makes the views.

    Attributes:
        together: representations (B, d) of this process -> those of all processes, (W B, d), in
            single precision at least. With `pretrain.descriptors=per_process` a process keeps to
            its own.
    """

    together: Callable[[Tensor], Tensor]

    def __init__(self, bank: AugmentationBank) -> None:
        super().__init__()
        self.bank = bank
        self.together = wide

    def views(self, x: Tensor, corner: Tensor, step: Draws, tracked: Sequence[str] = ()) -> Shown:
        """What the network is shown of clips `x` (B, ...) at a corner (K,).

        Args:
            tracked: augmentations whose parameters in view 1 require a gradient.
        """
        keyed = step.generator("views", 0)
        return Shown(*self.bank.views(x, corner, keyed, tracked, step.total, step.own))

    def forward(self, shown: Shown, corner: Tensor) -> Losses:
        """The losses, unweighted, of what is shown at a corner; each a mean over examples.

        Args:
            corner: (K,), on the CPU, where it was drawn; an encoder takes it to its device.
        """
        raise NotImplementedError(f"{type(self).__name__} needs forward(shown, corner) -> losses")

    def total(self, losses: Losses) -> Tensor:
        """What is descended: the sum of the losses, whose means over all processes these are."""
        return torch.stack(list(losses.values())).sum()

    def follow(self, corner: Tensor, progress: float) -> None:
        """Called after each step of the optimiser, at a `progress` from 0 to 1: nothing to do."""
