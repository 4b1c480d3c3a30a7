"""Contrastive losses as pure functions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from audioinv.base.errors import UserError


def nt_xent(first: Tensor, second: Tensor, temperature: float = 0.1, chunk: int = 0) -> Tensor:
    """Normalised temperature-scaled cross entropy of SimCLR (Chen et al., ICML 2020, eq. 1).

    Args:
        first, second: projections (B, d) of two views; row b of both is one positive pair, every
            other one of the 2 (B - 1) rows is a negative.
        temperature: tau > 0.
        chunk: anchors whose similarities stand in memory at a time, forward and backward, which
            computes them again: chunk times 2 B numbers instead of (2 B)^2. 0 takes all at once.

    Returns:
        The mean loss over the 2 B anchors, a scalar.

    Raises:
        UserError: shapes differ, B < 2, or `temperature` is not positive.
    """
    _check_pairs("nt_xent", temperature, first, second)
    n = len(first)
    z = F.normalize(torch.cat([first, second]), dim=1)
    positive = torch.arange(2 * n, device=z.device).roll(n)
    if chunk:
        return _in_chunks(z, positive, temperature, chunk)
    similarity = z @ z.T / temperature
    itself = torch.eye(2 * n, dtype=torch.bool, device=z.device)
    similarity = similarity.masked_fill(itself, float("-inf"))
    return F.cross_entropy(similarity, positive)


def _in_chunks(z: Tensor, positive: Tensor, temperature: float, chunk: int) -> Tensor:
    """The mean loss of anchors z (2 B, d), `chunk` of them at a time."""

    def part(start: int) -> Tensor:
        similarity = z[start : start + chunk] @ z.T / temperature
        rows = torch.arange(len(similarity), device=z.device)
        similarity[rows, start + rows] = float("-inf")
        return F.cross_entropy(similarity, positive[start : start + chunk], reduction="sum")

    parts = [
        checkpoint(part, start, use_reentrant=False, preserve_rng_state=False)
        for start in range(0, len(z), chunk)
    ]
    return torch.stack(parts).sum() / len(z)


def moco_v2(
    query: Tensor, key: Tensor, queue: Tensor, temperature: float = 0.2, twins: int = 0
) -> Tensor:
    """InfoNCE of MoCo (He et al., CVPR 2020, eq. 1; v2: Chen et al., 2020, eq. 1).

    Every query has one positive, the key of its own row, and the queue's rows as negatives.

    Args:
        query, key: projections (B, d) of two views.
        queue: keys (Q, d) of earlier batches, of length 1, as `Queue` keeps them.
        temperature: tau > 0.
        twins: the last so many rows are of the clips of the first so many, shown otherwise. A query
            of either has the key of the other as one more negative.

    Returns:
        The mean loss over the B queries, a scalar.

    Raises:
        UserError: shapes do not fit, B < 2, an empty queue, or `temperature` is not positive.
    """
    _check_pairs("moco_v2", temperature, query, key)
    if queue.ndim != 2 or len(queue) < 1 or queue.shape[1] != query.shape[1]:
        raise UserError(
            f"moco_v2 needs a queue (Q, {query.shape[1]}) with Q >= 1, got {tuple(queue.shape)}"
        )
    q, k = F.normalize(query, dim=1), F.normalize(key, dim=1)
    similarity = torch.cat([(q * k).sum(1, keepdim=True), q @ queue.T], dim=1) / temperature
    if twins:
        other = (q * k[_swapped(len(q), twins)]).sum(1, keepdim=True) / temperature
        other[twins : len(q) - twins] = float("-inf")  # which have no twin
        similarity = torch.cat([similarity, other], dim=1)
    return F.cross_entropy(similarity, similarity.new_zeros(len(q), dtype=torch.long))


def _swapped(n: int, twins: int) -> Tensor:
    """The numbers of `n` rows, (n,), the first `twins` and the last in each other's place."""
    rows = torch.arange(n)
    return torch.cat([rows[n - twins :], rows[twins : n - twins], rows[:twins]])


def moco_v3(q1: Tensor, q2: Tensor, k1: Tensor, k2: Tensor, temperature: float = 0.2) -> Tensor:
    """Symmetric contrastive loss of MoCo-v3 (Chen, Xie and He, ICCV 2021, eq. 1, algorithm 1).

        ctr(q1, k2) + ctr(q2, k1),     ctr(q, k) = 2 tau InfoNCE(q, k)

    The positive of query b is key b of the other view, its negatives are that view's other keys.

    Args:
        q1, q2: predictions (B, d) from views 1 and 2. k1, k2: keys (B, d) of views 1 and 2.
        temperature: tau > 0.

    Returns:
        The sum of both directions' means over B queries, a scalar.

    Raises:
        UserError: shapes differ, B < 2, or `temperature` is not positive.
    """
    _check_pairs("moco_v3", temperature, q1, q2, k1, k2)
    return 2 * temperature * (_info_nce(q1, k2, temperature) + _info_nce(q2, k1, temperature))


def _info_nce(query: Tensor, key: Tensor, temperature: float) -> Tensor:
    similarity = F.normalize(query, dim=1) @ F.normalize(key, dim=1).T / temperature
    return F.cross_entropy(similarity, torch.arange(len(query), device=query.device))


def _check_pairs(name: str, temperature: float, *batches: Tensor) -> None:
    shapes = [tuple(batch.shape) for batch in batches]
    if len(set(shapes)) > 1 or batches[0].ndim != 2 or len(batches[0]) < 2:
        raise UserError(f"{name} needs equal (B, d) batches with B >= 2, got {shapes}")
    if temperature <= 0:
        raise UserError(f"temperature is {temperature}; give a value above 0")
