"""Clipping of gradients, those that are kept as factors too."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from audioinv.core.bases import Bases


@torch.no_grad()
def clip_gradient(model: nn.Module, norm: Tensor, most: float) -> None:
    """Scales the gradients of `model`, whose norm together is `norm`, down to the norm `most`.

    As `torch.nn.utils.clip_grad_norm_` does (Pascanu et al., ICML 2013), which knows no factors.
    """
    factor = (most / (norm + 1e-6)).clamp(max=1.0)
    for parameter in model.parameters():  # not in place: a gradient may share memory with factors
        if parameter.grad is not None:
            parameter.grad = parameter.grad * factor.to(parameter.grad.device)
        if isinstance(parameter, Bases) and parameter.factors:
            parameter.factors[:] = [(h, g * factor.to(g.device)) for h, g in parameter.factors]
