"""Feature averaging: a clip's feature is the mean over encodings of M transformations of it.

Foster, Pukdee and Rainforth (ICLR 2021, arXiv 2010.09515), section 4: the average of M encodings
varies less with the transformation than one encoding does, by the factor M if they are
independent. Clips to learn a readout from and clips to test it on are averaged alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.progress import counted
from audioinv.base.randomness import generator
from audioinv.core.bank import AugmentationBank

Batches = Callable[[], Iterable[tuple[Tensor, Tensor]]]
"""Gives the clips' windows anew at each call, in the same batches: (b, ...) and any labels."""


def running_means(parts: Iterable[Tensor], at: Collection[int]) -> Iterator[tuple[int, Tensor]]:
    """(M, mean of the first M of `parts`) for every M in `at`, ascending.

    One pass, and one sum in memory however many parts there are: a curve over M costs no more
    than its last point.

    Raises:
        UserError: an M below 1, or more than there are parts.
    """
    wanted = sorted(set(at))
    if not wanted or wanted[0] < 1:
        raise UserError(f"means are of 1 part or more, not of {wanted}")
    total: Tensor | None = None
    with counted("averaging", "encodings") as progress:
        for m, part in enumerate(parts, 1):
            total = part.clone() if total is None else total.add_(part)
            progress(m, wanted[-1])
            if m in wanted:
                yield m, total / m
            if m == wanted[-1]:
                return
    raise UserError(f"there are fewer than {wanted[-1]} parts to average over")


def mean(parts: Iterable[Tensor]) -> Tensor:
    """The mean of one `part` or more, with one sum in memory."""
    total, count = torch.zeros(()), 0
    for part in parts:
        total = total + part
        count += 1
    return total / count


class TransformedMaps:
    """`views(descriptor)` gives the front-end maps of all clips, a transformation at a time.

    Every augmentation that the descriptor turns on acts, with the bank's probability or in the set
    that it draws, and with the parameters of its own draw, in the bank's order. Draws are keyed by
    (seed, draw, batch): the same for every encoder, and draw M does not depend on how many others
    there are.

    Args:
        bank: the bank to transform with. frontend: windows (b, ...) -> maps (b, C, H, W).
        batches: the windows, in the same batches at each call.
        draws: M. strength: how far, from 0 (not at all) to 1 (as in pre-training); see
            `Augmentation.at_strength`.
        only: the descriptor (K,) of an encoder that knows no other; None takes the one asked for.

    Raises:
        UserError: fewer than 1 draw, or a strength outside [0, 1].
    """

    def __init__(
        self,
        bank: AugmentationBank,
        frontend: Callable[[Tensor], Tensor],
        batches: Batches,
        draws: int,
        strength: float = 1.0,
        only: Tensor | None = None,
        seed: int = 0,
    ) -> None:
        check_strength(strength)
        if draws < 1:
            raise UserError(f"features.views is {draws}; give 1 or more to average over")
        self.bank = bank
        self.frontend = frontend
        self.batches = batches
        self.draws = draws
        self.strength = strength
        self.only = only
        self.seed = seed

    def __call__(self, descriptor: Tensor) -> Iterator[Iterator[Tensor]]:
        """For each of `draws` transformations, the maps (b, C, H, W) of all windows in batches."""
        active = self.bank.space.round(descriptor if self.only is None else self.only)
        return (self._draw(draw, active) for draw in range(self.draws))

    def _draw(self, draw: int, active: Tensor) -> Iterator[Tensor]:
        for k, (x, *_) in enumerate(self.batches()):
            keyed = generator(self.seed, "feature averaging", draw, k)
            yield self.frontend(self._transformed(x, active, keyed))

    @torch.no_grad()
    def _transformed(self, x: Tensor, active: Tensor, keyed: torch.Generator) -> Tensor:
        params = self.bank.sample(len(x), active, keyed)
        return self.bank.apply(x, self.bank.at_strength(params, self.strength))


def check_strength(strength: Any) -> None:
    """Raises a UserError unless `strength` is in [0, 1]."""
    if not (math.isfinite(strength) and 0 <= strength <= 1):
        raise UserError(
            f"features.strength is {strength}; give 0 (no transformation) to 1 (that of "
            "pre-training), and wider bank.ranges for more"
        )
