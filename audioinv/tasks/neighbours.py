"""k nearest neighbours, weighted by similarity: a readout with nothing to fit."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.tasks.standard import moments

CHUNK = 1 << 26
"""Similarities that are held at a time."""


def knn_scores(
    train: Tensor,
    targets: Tensor,
    test: Tensor,
    n_classes: int,
    k: int = 20,
    temperature: float = 0.07,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Class scores (m, n_classes): each of the k nearest votes with exp(cosine / temperature).

    Features are standardised by the training ones and compared by cosine; the weighting is that of
    Wu et al. (CVPR 2018, section 3.4). Test features are taken in chunks, so that memory grows with
    the training set alone.

    Args:
        train: (n, d). targets: class indices (n,). test: (m, d).
        device: that compares them.

    Raises:
        UserError: k below 1 or a temperature that is not positive.
    """
    if k < 1 or temperature <= 0:
        raise UserError(f"knn.k is {k} and knn.temperature {temperature}; give 1 or more, and > 0")
    mean, std = moments(train)
    keys = F.normalize((train - mean) / std, dim=1).to(device)
    classes = targets.long().to(device)
    parts = []
    for part in test.split(max(1, CHUNK // len(train))):
        cosine = F.normalize((part - mean) / std, dim=1).to(device) @ keys.T
        near = cosine.topk(min(k, len(train)), dim=1)
        weights = ((near.values - 1) / temperature).exp()  # at most 1: no overflow
        votes = weights.new_zeros(len(part), n_classes)
        parts.append(votes.scatter_add_(1, classes[near.indices], weights).cpu())
    return torch.cat(parts)
