"""The gradient penalty of InvCLR: how far a representation moves when a view is made otherwise.

Foster, Pukdee and Rainforth, "Improving Transformation Invariance in Contrastive Representation
Learning" (ICLR 2021, arXiv 2010.09515), section 3: beside pulling two views together, keep the
representation of one from changing with its transformation parameters alpha. To first order, a
fresh draw alpha' moves a random projection e . h of it by g . (alpha' - alpha).

What the paper leaves open, or what a bank of many augmentations adds:

- The representation is the encoder's output z, the one that tasks will use, not the projection.
- alpha are the parameters that an augmentation declares differentiable. Its others (seeds, modes,
  places in the noise) stay as view 1 has them: alpha' differs in the differentiable ones alone.
- An augmentation whose component of the descriptor is 0 has no freedom: the representation may
  follow it. Nor has one that did not act on an example (`bank.probability`): that is a mode, too.
- alpha keeps its units, semitones beside decibels: g . (alpha' - alpha) has none.
- A network with BatchNorm mixes the examples of a batch, so g of one example also holds what its
  parameters do to the others through the batch's statistics, as in the released code.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from audioinv.base.errors import UserError
from audioinv.base.near import meant_by
from audioinv.core.augmentation import Augmentation
from audioinv.core.bank import ALL, AugmentationBank
from audioinv.core.precision import outside_autocast, wide


class PenaltyDraws(NamedTuple):
    """What is random in the penalty of a batch; keyed like every draw of a step.

    signs: e, (B, d) of -1 and 1.
    moves: alpha' - alpha of every penalised augmentation, (B, draws, P), in its parameters' units.
    """

    signs: Tensor
    moves: dict[str, Tensor]


def gradient_penalty(
    z: Tensor, params: Mapping[str, Tensor], draws: PenaltyDraws, longest: float = math.inf
) -> Tensor:
    """Mean of (g . (alpha' - alpha))^2 over examples and draws, g = grad_alpha (e . z / ||z||).

    Keeps its graph, so that a loss with it trains the network that made `z`. Such a loss goes
    backward to the network's parameters alone, `backward(inputs=...)`: the rest of the graph
    would be the second derivative of the augmentations, for nothing.

    Args:
        z: representations (B, d) of view 1, made from it with gradient.
        params: view 1's parameters, name -> (B, P); those in `draws.moves` require a gradient.
        longest: a draw counts as this much at most, and then has no gradient. Unit vectors are 2
            apart at most, and e . (h' - h) is as long as h' - h in the mean: what extrapolation
            puts above 4 is not there. The paper has no such bound.

    Returns:
        A scalar, 0 or more. The paper's clamp, of the mean, is not in it.

    Raises:
        UserError: no gradient leads from `z` to any of the parameters.
    """
    names = list(draws.moves)
    if not any(bool(draws.moves[name].any()) for name in names):
        return z.new_zeros(())
    h = F.normalize(wide(z), dim=1)
    projection = (draws.signs.to(h) * h).sum()
    alphas = [params[name] for name in names]
    gradients = torch.autograd.grad(projection, alphas, create_graph=True, allow_unused=True)
    with outside_autocast(h):
        changes = [
            torch.einsum("bp,bnp->bn", gradient, draws.moves[name].to(gradient))
            for name, gradient in zip(names, gradients, strict=True)
            if gradient is not None
        ]
    if not changes:
        raise UserError(
            f"no gradient leads from the representation to the parameters of {', '.join(names)}; "
            "set pretrain.penalty=0, or precision=32-true"
        )
    return torch.stack(changes).sum(0).square().clamp_max(longest).mean()


class GradientPenalty:
    """The penalty as a loss has it: on which augmentations, how strong, with which draws.

    It has a pass of view 1 alone, as published: BatchNorm normalises it by its own batch and keeps
    no statistics of it, so that those see every batch once, with it or without. Second derivatives
    of the pass over both views would cost more.

    Args:
        bank: the bank that makes the views. dim: d, of the representation.
        weight: lambda of the loss; 0 turns everything off.
        draws: alpha' for every example; the paper takes 100. They cost a draw of the bank each,
            no run of the network.
        names: the augmentations to penalise; None takes those with a differentiable parameter
            whose gradient tells what a draw does (`Augmentation.first_order`).
        clamp: a penalty above it counts as this much, and then has no gradient (InvCLR).
        longest: of `gradient_penalty`.

    Raises:
        UserError: a number out of range, an augmentation that is unknown or cannot be penalised.
    """

    def __init__(
        self,
        bank: AugmentationBank,
        dim: int,
        weight: float,
        draws: int = 100,
        names: Sequence[str] | None = None,
        clamp: float = math.inf,
        longest: float = math.inf,
    ) -> None:
        if not 0 <= weight < float("inf"):
            raise UserError(f"pretrain.penalty is {weight}; give 0 (off) or a number above")
        if draws < 1:
            raise UserError(f"pretrain.penalty_draws is {draws}; give 1 or more")
        self.bank = bank
        self.dim = dim
        self.weight = weight
        self.draws = draws
        self.names = penalised(bank, names) if weight else []
        self.clamp = clamp
        self.longest = longest

    def __call__(
        self,
        encoder: nn.Module,
        view: Tensor,
        params: Mapping[str, Tensor],
        draws: PenaltyDraws,
        descriptor: Tensor,
    ) -> Tensor:
        """`gradient_penalty` of view 1, (B, ...), under one descriptor (K,); not weighted.

        Args:
            view: made with its graph from `params`, name -> (B, P). draws: as of `draw`.
        """
        with twice_differentiable(), without_statistics(encoder):
            z = encoder(view, descriptor)
        return gradient_penalty(z, params, draws, self.longest)

    def weighted(self, penalty: Tensor) -> Tensor:
        """What a penalty, the mean over all processes, adds to the loss."""
        return self.weight * penalty.clamp_max(self.clamp)

    def active(self, descriptor: Tensor) -> list[str]:
        """Penalised augmentations that `descriptor`, (K,) or (B, K), turns on for some example."""
        active = self.bank.active(1 if descriptor.ndim == 1 else len(descriptor), descriptor)
        return [name for name in self.names if bool(active[name].any())]

    def draw(
        self,
        params: Mapping[str, Tensor],
        descriptor: Tensor,
        generator: torch.Generator,
        total: int | None = None,
        own: slice = ALL,
    ) -> PenaltyDraws | None:
        """Signs and moves for view 1 made with `params`, name -> (B, P); None if it is off.

        Args:
            total, own: as of `AugmentationBank.views`.
        """
        if not self.names:
            return None
        n = len(next(iter(params.values())))
        total, active = total or n, self.bank.active(n, descriptor)
        signs = 2.0 * torch.randint(2, (total, self.dim), generator=generator)[own] - 1
        moves = {}
        for name in self.active(descriptor):
            fresh = self.bank.augmentations[name].sample(total * self.draws, generator)
            rows = fresh.view(total, self.draws, -1)[own]
            moves[name] = self._moves(name, params[name], active[name], rows)
        return PenaltyDraws(signs, moves)

    def _moves(self, name: str, params: Tensor, active: Tensor, fresh: Tensor) -> Tensor:
        """alpha' - alpha, (B, draws, P): 0 where a parameter or an example has no freedom."""
        augmentation, alpha = self.bank.augmentations[name], params.detach().cpu()
        moves = fresh - alpha[:, None]
        acts = active & augmentation.acts(alpha)[:, None]
        return torch.where(acts[:, None] & torch.tensor(_free(augmentation)), moves, 0.0)


def penalised(bank: AugmentationBank, names: Sequence[str] | None = None) -> list[str]:
    """The augmentations to penalise: `names`, or those that `GradientPenalty` takes by itself.

    Raises:
        UserError: an unknown name; one without differentiable parameter; none at all; one whose
            gradient is lost in a later augmentation that has none.
    """
    able = {name: a for name, a in bank.augmentations.items() if any(_free(a))}
    own = [name for name, a in able.items() if a.first_order]
    chosen = own if names is None else [name for name in bank.augmentations if name in names]
    unable = [name for name in names or [] if name not in able]
    if unable or not chosen:
        raise UserError(
            f"pretrain.penalty_on is {names if names is None else list(names)}; of this bank it "
            f"takes {', '.join(able) or 'nothing'}, which have differentiable parameters"
            f"{meant_by(unable, able)}"
        )
    later = list(bank.augmentations)[list(bank.augmentations).index(chosen[0]) + 1 :]
    opaque = [name for name in later if bank.augmentations[name].opaque]
    if opaque:
        raise UserError(
            f"no gradient passes {', '.join(opaque)}, so pretrain.penalty cannot act on "
            f"{chosen[0]}; leave them out of the bank, or set pretrain.penalty=0"
        )
    return chosen


def twice_differentiable() -> AbstractContextManager[None]:
    """Attention in plain operations meanwhile: the fast kernels have no second derivative."""
    return sdpa_kernel(SDPBackend.MATH)


@contextmanager
def without_statistics(network: nn.Module) -> Iterator[None]:
    """BatchNorm normalises by the batch of this process; running statistics stay as they are."""
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    norms = [norm for norm in norms if norm.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def _free(augmentation: Augmentation) -> list[bool]:
    """Which parameters a draw varies and a gradient follows."""
    return [p.differentiable and p.low < p.high for p in augmentation.parameters]
