"""Features at mean 0 and deviation 1, as far as a deviation can be told."""

from __future__ import annotations

import torch
from torch import Tensor

SILENT = 1e-2
"""Beside the deviation of the features together: a feature of less says nothing of its own."""


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation (d,) of features (n, d), by which they are brought to 0 and 1.

    A channel behind a ReLU may be silent in a hundred labelled clips and speak in the next one: by
    a deviation of nothing it would be a million deviations away, and a regression with it. A silent
    feature counts with the deviation of the features together, their root mean square.
    """
    std = features.std(0)
    together = max(float(std.square().mean().sqrt()), 1e-6)
    return features.mean(0), torch.where(std > SILENT * together, std, together)
