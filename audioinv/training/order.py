"""Which corner a step trains, and which clips: keyed by seed and step."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from audioinv.base.randomness import generator
from audioinv.core.bank import AugmentationBank
from audioinv.core.descriptor import DescriptorSpace, flip
from audioinv.training.config import PretrainConfig


def trained_corners(space: DescriptorSpace, corners: str) -> Tensor:
    """The corners (C, K) that `PretrainConfig.corners` stands for."""
    if corners == "space":
        return space.corners
    if corners == "leave_one_out":
        all_on = space.all_on()
        return torch.stack([*(flip(all_on, k) for k in range(space.size)), all_on])
    return space.parse(corners)[None]


def draw_corner(
    bank: AugmentationBank,
    config: PretrainConfig,
    seed: int,
    step: int,
    rank: int = 0,
    group: int = 0,
) -> Tensor:
    """The descriptor (K,) of a step's group: the same on every process, or one for each."""
    corners = trained_corners(bank.space, config.corners)
    apart = rank if config.descriptors == "per_process" else 0
    key = (step, apart, group) if group else (step, apart) if apart else (step,)
    draw = generator(seed, "descriptor", *key)
    if config.corner_weights == "uniform":
        return corners[int(torch.randint(len(corners), (), generator=draw))]
    return corners[int(torch.multinomial(even_weights(corners), 1, generator=draw))]


def even_weights(corners: Tensor) -> Tensor:
    """Weights (C,) of corners (C, K) by which every number of active components is as likely."""
    active = corners.sum(1)
    return 1 / (active == active[:, None]).sum(1).double()


def batch_indices(n: int, total: int, seed: int, step: int) -> Tensor:
    """The `total` clips of a step, over all processes: slices of a permutation of each epoch.

    What is left over at the end of an epoch is less than a batch, and waits for another epoch.
    """
    per_epoch = max(n // total, 1)
    order = epoch_order(n, seed, step // per_epoch)
    begin = (step % per_epoch) * total
    return order[begin : begin + total]


@lru_cache(maxsize=1)
def epoch_order(n: int, seed: int, epoch: int) -> Tensor:
    """All clips in the order of an epoch; kept, since drawing a million takes 20 ms."""
    return torch.randperm(n, generator=generator(seed, "order", epoch))
