"""Contrastive losses as pure functions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from audioinv.core.errors import UserError


def nt_xent(first: Tensor, second: Tensor, temperature: float = 0.1) -> Tensor:
    """Normalised temperature-scaled cross entropy of SimCLR (Chen et al., ICML 2020, eq. 1).

    Args:
        first, second: projections (B, d) of two views; row b of both is one positive pair, every
            other one of the 2 (B - 1) rows is a negative.
        temperature: tau > 0.

    Returns:
        The mean loss over the 2 B anchors, a scalar.

    Raises:
        UserError: shapes differ, B < 2, or `temperature` is not positive.
    """
    if first.shape != second.shape or first.ndim != 2 or len(first) < 2:
        raise UserError(
            f"nt_xent needs two (B, d) batches with B >= 2, got {tuple(first.shape)} and "
            f"{tuple(second.shape)}"
        )
    if temperature <= 0:
        raise UserError(f"temperature is {temperature}; give a value above 0")
    n = len(first)
    z = F.normalize(torch.cat([first, second]), dim=1)
    similarity = z @ z.T / temperature
    itself = torch.eye(2 * n, dtype=torch.bool, device=z.device)
    similarity = similarity.masked_fill(itself, float("-inf"))
    positive = torch.arange(2 * n, device=z.device).roll(n)
    return F.cross_entropy(similarity, positive)
