"""Another descriptor for every example of a batch, in one pass of a stock backbone.

An example's own kernel cannot be given to a batched convolution, but what a cheap modulation does
to the layer's output can be computed beside it: a hook on the layer adds it. Only layers of torch's
own classes are known well enough for that; a conditioning that meets any other says None, and the
encoder runs examples of equal descriptors together instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

Hook = Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]


@dataclass(frozen=True)
class PerExample:
    """How to run a backbone on a batch of B examples.

    Args:
        weights: parameter name -> what to use in its place.
        hooks: module name -> what makes of its inputs and its output (B, ...) the output wanted.
    """

    weights: Mapping[str, Tensor] = field(default_factory=dict)
    hooks: Mapping[str, Hook] = field(default_factory=dict)


@contextmanager
def hooked(backbone: nn.Module, hooks: Mapping[str, Hook]) -> Iterator[None]:
    """Runs its body with the hooks on the modules of `backbone`."""
    handles = [
        backbone.get_submodule(name).register_forward_hook(hook) for name, hook in hooks.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def takes_low_rank(layer: nn.Module) -> bool:
    """Whether `low_rank` knows what the layer does with its weight."""
    if type(layer) is nn.Conv2d:
        return layer.groups == 1 and layer.padding_mode == "zeros"
    return type(layer) is nn.Linear


def low_rank(left: Tensor, right: Tensor, h: Tensor) -> Hook:
    """Adds what the weights sum_j h_j L_j R_j do to the input.

    R, of all bases side by side, is a convolution to J r channels; there an example's coefficients
    are a factor each; L is one of 1 x 1 from there.

    Args:
        left: (J, out, r). right: (J, r, in * kernel). h: (B, J).
    """
    wide = h.repeat_interleave(left.shape[2], dim=1)
    inner, outer = right.flatten(0, 1), left.permute(1, 0, 2).flatten(1)

    def add(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        x, weight = inputs[0], layer.get_parameter("weight")
        if isinstance(layer, nn.Conv2d):
            kernel = inner.view(-1, *weight.shape[1:])
            stride, padding, dilation = layer.stride, layer.padding, layer.dilation
            seen: Any = F.conv2d(x, kernel, None, stride, padding, dilation)
            seen = seen * wide.to(seen.dtype)[:, :, None, None]
            return output.add_(F.conv2d(seen, outer[:, :, None, None]))
        seen = F.linear(x, inner)
        return output + F.linear(seen * _like(wide.to(seen.dtype), seen), outer)

    return add


def takes_affine(layer: nn.Module) -> bool:
    """Whether `affine` may follow the layer: it normalises channels and does nothing else."""
    return type(layer) in (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm)


def affine(scale: Tensor, offset: Tensor) -> Hook:
    """Scales and shifts every channel of an example: output * scale + offset, (B, C) each."""

    def change(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        shape = (*scale.shape, *[1] * (output.ndim - 2))
        own = scale.to(output.dtype).view(shape), offset.to(output.dtype).view(shape)
        return output * own[0] + own[1]

    return change


def _like(h: Tensor, x: Tensor) -> Tensor:
    """h (B, C) beside x (B, ..., C)."""
    return h.view(h.shape[0], *[1] * (x.ndim - 2), -1)
