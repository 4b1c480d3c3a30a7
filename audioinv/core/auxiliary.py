"""Predicting the augmentations beside the contrastive loss: AugSelf's and MT-SLVR's second task."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audioinv.core.bank import AugmentationBank, Parameter, ViewParameters
from audioinv.core.errors import UserError

KINDS = ("none", "differences", "applied")
MT_SLVR = (256, 64, 16)  # hidden layers


class ParameterPredictor(nn.Module):
    """An MLP that tells from two views' features how they were made.

    Args:
        kind: "differences" regresses the difference of every parameter between the two views, in
            units of its range (AugSelf: Lee et al., NeurIPS 2021, eq. 3); "applied" tells for each
            view which augmentations acted on it (the second task of MT-SLVR: Heggan et al.,
            Interspeech 2023), by the head of its released code, d -> 256 -> 64 -> 16 -> A with
            BatchNorm, whatever `hidden` is; "none" predicts nothing.

    Raises:
        UserError: unknown kind.
    """

    def __init__(self, bank: AugmentationBank, d: int, hidden: int = 256, kind: str = "none"):
        super().__init__()
        if kind not in KINDS:
            raise UserError(f"pretrain.predict is '{kind}'; give one of {', '.join(KINDS)}")
        self.kind = kind
        self.bank = bank
        if kind == "differences":
            outputs = sum(len(a.parameters) for a in bank.augmentations.values())
            self.head = _mlp(2 * d, hidden, outputs)
        elif kind == "applied":
            self.head = _normed_mlp(d, MT_SLVR, len(bank.augmentations))

    def forward(
        self,
        features: tuple[Tensor, Tensor],
        params: ViewParameters,
    ) -> Tensor:
        """The loss, a scalar, of the two views' features (B, d) and parameters, name -> (B, P)."""
        first, second = features
        if self.kind == "none":
            return first.new_zeros(())
        params = (_on_cpu(params[0]), _on_cpu(params[1]))
        if self.kind == "differences":
            target = normalised(self.bank, params[0]) - normalised(self.bank, params[1])
            return F.mse_loss(self.head(torch.cat([first, second], 1)), target.to(first.device))
        acted = torch.cat([applied(self.bank, p) for p in params])
        logits = self.head(torch.cat([first, second]))
        return F.binary_cross_entropy_with_logits(logits, acted.to(first.device))


def normalised(bank: AugmentationBank, params: dict[str, Tensor]) -> Tensor:
    """All parameters side by side, (B, sum of P), from 0 at `low` to 1 at `high`.

    An identity beyond the range, such as an SNR of infinity, counts as the end of it; a parameter
    of one value only ranges from there to its identity.
    """
    columns = []
    for name, augmentation in bank.augmentations.items():
        low, high = torch.tensor([_ends(p) for p in augmentation.parameters]).T
        clamped = params[name].minimum(high).maximum(low)
        columns.append((clamped - low) / (high - low).clamp_min(1e-12))
    return torch.cat(columns, dim=1)


def _ends(parameter: Parameter) -> tuple[float, float]:
    if parameter.low < parameter.high:
        return parameter.low, parameter.high
    low, high = sorted((parameter.low, parameter.identity))
    return low, high


def applied(bank: AugmentationBank, params: dict[str, Tensor]) -> Tensor:
    """(B, A) of 0 and 1: which augmentations are not at their identity."""
    return torch.stack(
        [
            augmentation.acts(params[name]).float()
            for name, augmentation in bank.augmentations.items()
        ],
        dim=1,
    )


def _on_cpu(params: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: rows.detach().cpu() for name, rows in params.items()}


def _mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


def _normed_mlp(inputs: int, hidden: Sequence[int], outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise([inputs, *hidden]):
        layers += [nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(hidden[-1], outputs))
