"""Second tasks beside the contrastive loss: those of AugSelf, MT-SLVR and EquiMod."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audioinv.base.errors import UserError
from audioinv.base.near import unknown
from audioinv.core.augmentation import Parameter
from audioinv.core.bank import AugmentationBank, ViewParameters
from audioinv.core.objectives import nt_xent
from audioinv.core.projector import mlp

KINDS = ("none", "differences", "applied", "embeddings")
MT_SLVR = (256, 64, 16)  # hidden layers


class ParameterPredictor(nn.Module):
    """An MLP that tells from two views' features how they were made.

    Args:
        kind: "differences" regresses the difference of every quantity between the two views, in
            units of its range (AugSelf: Lee et al., NeurIPS 2021, eq. 3); "applied" tells for each
            view which augmentations acted on it (the second task of MT-SLVR: Heggan et al.,
            Interspeech 2023), by the head of its released code, d -> 256 -> 64 -> 16 -> A with
            BatchNorm, whatever `hidden` is; "none" predicts nothing. ("embeddings" is
            `Equivariance`.)

    AugSelf has a head and a loss for each augmentation and trains on crops and colours; here one
    head tells all of the bank's quantities and the loss is their mean.

    Raises:
        UserError: unknown kind, or "differences" of a bank without a quantity.
    """

    def __init__(self, bank: AugmentationBank, d: int, hidden: int = 256, kind: str = "none"):
        super().__init__()
        if kind not in KINDS:
            raise unknown("pretrain.predict", kind, KINDS)
        self.kind = kind
        self.bank = bank
        if kind == "differences":
            self.head = _mlp(2 * d, hidden, len(quantities(bank)))
        elif kind == "applied":
            self.head = _normed_mlp(d, MT_SLVR, len(bank.augmentations))

    def forward(
        self,
        features: tuple[Tensor, Tensor],
        params: ViewParameters,
    ) -> Tensor:
        """The loss, a scalar, of the two views' features (B, d) and parameters, name -> (B, P)."""
        first, second = features
        if self.kind not in ("differences", "applied"):
            return first.new_zeros(())
        params = (_on_cpu(params[0]), _on_cpu(params[1]))
        if self.kind == "differences":
            target = normalised(self.bank, params[0]) - normalised(self.bank, params[1])
            return F.mse_loss(self.head(torch.cat([first, second], 1)), target.to(first.device))
        acted = torch.cat([applied(self.bank, p) for p in params])
        logits = self.head(torch.cat([first, second]))
        return F.binary_cross_entropy_with_logits(logits, acted.to(first.device))


class Equivariance(nn.Module):
    """EquiMod's module (Devillers and Lefort, ICLR 2023): how a view's embedding will be displaced.

    From the embedding of the plain clip and what was done to it, it predicts that of the view.
    The two are contrasted once the embeddings of all processes are together.

    Args:
        bank: that makes the views. d: of the features. hidden, dim: of the embeddings.
        weight, temperature: of its loss; as released 1 and 0.2.
    """

    kind = "embeddings"

    def __init__(
        self,
        bank: AugmentationBank,
        d: int,
        hidden: int = 256,
        dim: int = 128,
        weight: float = 1.0,
        temperature: float = 0.2,
    ) -> None:
        super().__init__()
        self.bank = bank
        self.weight = weight
        self.temperature = temperature
        told = described_size(bank)
        self.project = mlp([d, hidden, hidden, dim], last_norm=True)
        self.embed = nn.Sequential(nn.Linear(told, dim, bias=False), nn.BatchNorm1d(dim))
        self.predict = mlp([2 * dim, dim], last_norm=True)

    def forward(self, features: Tensor, params: ViewParameters) -> tuple[Tensor, Tensor]:
        """Predicted and actual embeddings of both views, (2 B, dim) each.

        Args:
            features: of view 1, view 2 and the plain clips, (3 B, d). params: of the views.
        """
        first, second, plain = self.project(features).chunk(3)
        told = self.embed(described(self.bank, params).to(features))
        predicted = self.predict(torch.cat([torch.cat([plain, plain]), told], dim=1))
        return predicted, torch.cat([first, second])

    def loss(self, predicted: Tensor, actual: Tensor, chunk: int = 0) -> Tensor:
        """NT-Xent of predicted and actual embeddings (n, dim), weighted; `chunk` as it has it."""
        return self.weight * nt_xent(predicted, actual, self.temperature, chunk)


def described(bank: AugmentationBank, params: ViewParameters) -> Tensor:
    """What a network is told of both views, (2 B, D), on the CPU.

    Of each its `quantities`, normalised, and which augmentations acted: so a clip left alone is not
    one changed by the least, and a flip is told too.
    """
    views = [_on_cpu(view) for view in params]
    return torch.cat([torch.cat([normalised(bank, v), applied(bank, v)], 1) for v in views])


def described_size(bank: AugmentationBank) -> int:
    """D of `described`."""
    parameters = [p for a in bank.augmentations.values() for p in a.parameters]
    return sum(p.quantity for p in parameters) + len(bank.augmentations)


def quantities(bank: AugmentationBank) -> list[Parameter]:
    """The parameters of a bank that have distances: no modes, seeds or places in the noise.

    Raises:
        UserError: there are none.
    """
    found = [p for a in bank.augmentations.values() for p in a.parameters if p.quantity]
    if not found:
        raise UserError(
            f"no parameter of {', '.join(bank.augmentations)} is a quantity, so no difference can "
            "be predicted; give pretrain.predict=none, or other augmentations"
        )
    return found


def normalised(bank: AugmentationBank, params: dict[str, Tensor]) -> Tensor:
    """The `quantities` side by side, (B, Q), from 0 at `low` to 1 at `high`.

    An identity beyond the range, such as an SNR of infinity, counts as the end of it; a parameter
    of one value only ranges from there to its identity.
    """
    columns = [next(iter(params.values()))[:, :0]]
    for name, augmentation in bank.augmentations.items():
        for k, parameter in enumerate(augmentation.parameters):
            if parameter.quantity:
                low, high = _ends(parameter)
                values = params[name][:, k, None].clamp(low, high)
                columns.append((values - low) / max(high - low, 1e-12))
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
