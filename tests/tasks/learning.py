"""One distribution over corners, learnt from a kernel for each."""

from __future__ import annotations

import torch
from torch import Tensor

from audioinv.tasks.evidence import corner_weights, learn_weights


def learn_soft_descriptor(
    kernels: Tensor, corners: Tensor, y: Tensor, steps: int = 40
) -> tuple[Tensor, float]:
    """q (K,) and the evidence reached, of kernels (C, n, n) at corners (C, K)."""
    rows, columns = torch.tril_indices(len(y), len(y))

    def weights_of(logits: Tensor) -> Tensor:
        return corner_weights(logits.sigmoid(), corners)

    start = torch.zeros(corners.shape[1], dtype=y.dtype)
    flat = kernels[:, rows, columns]
    (logits,), evidence = learn_weights(flat, y, weights_of, [start], steps)
    return logits.sigmoid(), evidence
