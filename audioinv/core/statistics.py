"""Normalisation statistics of a network at every descriptor.

A conditioned network has other weights at each descriptor, and so other means and variances of what
its BatchNorms see. Those of training mix all descriptors and all views, and fit none. Here they are
kept for corners c of the cube, and composed at any descriptor i:

    mean(i) = sum_c w_c(i) mean_c,     log var(i) = sum_c w_c(i) log var_c

w(i) are the weights of universal kriging (Matheron, 1969) with a linear drift, under the kernel
prod_k (1 - |i_k - c_k| / 2): they sum to 1, give a corner that is kept its own values, and are
exact for whatever each component changes by itself. Up to
`MOST_COMPONENTS` components all 2^K corners are kept, and w_c is then the multilinear
prod_k i_k^{c_k} (1 - i_k)^{1 - c_k}. Above, all-on and all-off are kept, with every single flip and
every pair of flips of both. A network without a descriptor has one set.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from audioinv.base.errors import UserError

MOST_COMPONENTS = 8
SMALLEST = 1e-12  # variance of a channel that never varies, whose logarithm must be finite


def batch_norms(network: nn.Module) -> dict[str, Any]:
    """Name -> every BatchNorm of `network` that keeps running statistics."""
    norms = network.named_modules()
    kinds = nn.modules.batchnorm._BatchNorm
    return {n: m for n, m in norms if isinstance(m, kinds) and m.track_running_stats}


def kept_corners(size: int) -> Tensor:
    """The corners (C, K) whose statistics are kept, of descriptors of `size` components."""
    if size <= MOST_COMPONENTS:
        return torch.tensor(list(itertools.product((0.0, 1.0), repeat=size)))
    flips = [[], *([k] for k in range(size)), *map(list, itertools.combinations(range(size), 2))]
    near_all = torch.ones(len(flips), size)
    for corner, off in zip(near_all, flips, strict=True):
        corner[off] = 0
    return torch.cat([near_all, 1 - near_all])


def kernel(a: Tensor, b: Tensor) -> Tensor:
    """How much descriptors a (..., K) tell of descriptors b (C, K), in (0, 1], (..., C)."""
    return (1 - (a[..., None, :] - b).abs() / 2).prod(-1)


def _solved(corners: Tensor) -> Tensor:
    """(C + 1 + K, C): with it, what `kernel` gives at a descriptor, 1 and i become weights."""
    n = len(corners)
    drift = torch.cat([corners.new_ones(n, 1), corners], 1)
    nothing = corners.new_zeros(drift.shape[1], drift.shape[1])
    upper = torch.cat([kernel(corners, corners), drift], 1)
    return torch.linalg.pinv(torch.cat([upper, torch.cat([drift.T, nothing], 1)]))[:, :n]


class NormStatistics(nn.Module):
    """`statistics(i)` gives the buffers of a network's BatchNorms at a descriptor.

    Args:
        network: whose they are. corners: (C, K), as `kept_corners` gives them; (1, K) where the
            descriptor makes no difference.
    """

    corners: Tensor
    mean: Tensor
    var: Tensor
    solved: Tensor

    def __init__(self, network: nn.Module, corners: Tensor) -> None:
        super().__init__()
        self.sizes = {name: norm.num_features for name, norm in batch_norms(network).items()}
        channels = sum(self.sizes.values())
        self.register_buffer("corners", corners.clone())
        self.register_buffer("solved", _solved(corners.double()).float(), persistent=False)
        self.register_buffer("mean", torch.zeros(len(corners), channels))
        self.register_buffer("var", torch.ones(len(corners), channels))

    def forward(self, descriptor: Tensor) -> dict[str, Tensor]:
        """Buffer name -> its value at `descriptor` (K,), (channels,); or at each of (B, K)."""
        weights = self.weights(descriptor.to(self.corners))
        mean = weights @ self.mean
        var = (weights @ self.var.clamp_min(SMALLEST).log()).exp()
        parts = list(self.sizes.values())
        split = zip(self.sizes, mean.split(parts, -1), var.split(parts, -1), strict=True)
        return {
            f"{name}.{key}": value
            for name, own_mean, own_var in split
            for key, value in (("running_mean", own_mean), ("running_var", own_var))
        }

    def weights(self, descriptor: Tensor) -> Tensor:
        """w_c of every corner that is kept, (..., C), at descriptors (..., K); they sum to 1."""
        known = kernel(descriptor, self.corners)
        if len(self.corners) == 1:
            return torch.ones_like(known)
        return torch.cat([known, torch.ones_like(known[..., :1]), descriptor], -1) @ self.solved

    @torch.no_grad()
    def compute(
        self,
        network_at: Callable[[Tensor], nn.Module],
        maps: Sequence[Tensor],
        progress: Callable[[int, int], None] = lambda done, all: None,
    ) -> None:
        """Takes the statistics of `maps`, batches (b, C, H, W), at every corner.

        Args:
            network_at: corner (K,) -> the network there, in evaluation mode.
            progress: called with (corners done, corners).

        Raises:
            UserError: no maps, or a layer that sees one number a channel, which has no variance.
        """
        if not maps:
            raise UserError("normalisation statistics need clips, and there are none")
        for k, corner in enumerate(self.corners):
            self.take(k, *statistics_of(network_at(corner), maps))
            progress(k + 1, len(self.corners))

    def take(self, k: int, mean: Tensor, var: Tensor) -> None:
        """Sets the statistics of the corner `k`, (channels,) each."""
        self.mean[k].copy_(mean)
        self.var[k].copy_(var)


def statistics_of(network: nn.Module, maps: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Means and variances of what the BatchNorms of `network` see, (channels,) each.

    Nothing but BatchNorm is put into training mode: dropout stays off.

    Raises:
        UserError: a layer sees one number a channel.
    """
    norms = batch_norms(network).values()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain average over all batches
        norm.train()
    try:
        for part in maps:
            network(part)
    except ValueError as error:  # torch's, of a batch of one
        raise UserError(f"normalisation statistics need 2 clips or more: {error}") from error
    finally:
        network.eval()
    return running(network)


def running(network: nn.Module) -> tuple[Tensor, Tensor]:
    """The means and variances that the BatchNorms of `network` hold, (channels,) each."""
    norms = batch_norms(network).values()
    mean, var = ([getattr(norm, f"running_{key}") for norm in norms] for key in ("mean", "var"))
    return torch.cat(mean), torch.cat(var)


def even_batches(x: Tensor, most: int = 256) -> tuple[Tensor, ...]:
    """`x` (n, ...) in batches of nearly equal size, at most `most` each: each counts alike."""
    return x.tensor_split(math.ceil(len(x) / most)) if len(x) else ()


@contextmanager
def normalised(network: nn.Module, own: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Inside, every BatchNorm normalises each example of a batch by statistics of its own.

    Args:
        own: buffer name -> its value for each example, (B, channels); none where nothing changes.

    Yields:
        the buffers that `network` is to be called with: they leave what is normalised as it is.
    """
    neutral, handles = {}, []
    if own:
        for name, norm in batch_norms(network).items():
            mean, var = own[f"{name}.running_mean"], own[f"{name}.running_var"]
            by = partial(_normalise, mean, (var + norm.eps).rsqrt())
            handles.append(norm.register_forward_pre_hook(by))
            neutral[f"{name}.running_mean"] = torch.zeros_like(norm.running_mean)
            neutral[f"{name}.running_var"] = torch.full_like(norm.running_var, 1 - norm.eps)
    try:
        yield neutral
    finally:
        for handle in handles:
            handle.remove()


def _normalise(
    mean: Tensor, scale: Tensor, norm: nn.Module, inputs: tuple[Tensor, ...]
) -> tuple[Tensor]:
    """(B, C, ...) with each example's own mean and scale (B, C)."""
    x = inputs[0]
    shape = (*mean.shape, *[1] * (x.ndim - 2))
    return ((x - mean.view(shape)) * scale.view(shape),)
