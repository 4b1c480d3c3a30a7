"""The optimiser of a run and its learning rate at every step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import timm.optim
import torch
from torch import nn

from audioinv.base.near import unknown
from audioinv.training.config import PretrainConfig
from audioinv.training.rank_one import RankOneAdam


def learning_rate(config: PretrainConfig, step: int) -> float:
    """Linear warm-up, and a half cosine that reaches zero when the last step is done.

    The cosine begins where the warm-up ends, or with the run: the lower of the two counts then.
    """
    if config.schedule == "cosine_from_start":
        warm = (step + 1) / max(config.warmup_steps, 1)
        return config.lr * min(warm, 0.5 * (1 + math.cos(math.pi * step / config.steps)))
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    passed = (step - config.warmup_steps) / max(config.steps - config.warmup_steps, 1)
    return config.lr * 0.5 * (1 + math.cos(math.pi * passed))


def of_this_batch(config: PretrainConfig, processes: int) -> PretrainConfig:
    """The settings with the learning rate of a step of so many clips, if `lr_per_256` asks."""
    if not config.lr_per_256:
        return config
    clips = config.batch_size * config.accumulate * processes
    return replace(config, lr=config.lr * clips / 256)


def set_learning_rate(optimiser: Any, config: PretrainConfig, step: int) -> float:
    """Sets and returns the learning rate of a step."""
    lr = learning_rate(config, step)
    for group in optimiser.param_groups:
        group["lr"] = lr
    return lr


def make_optimiser(model: nn.Module, config: PretrainConfig) -> torch.optim.Optimizer:
    """The optimiser over weights with decay and vectors (biases, norms) without.

    "adam" adds the decay to the gradient (L2, as the paper); "adamw" decays the weights themselves.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    makers: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adamw": partial(RankOneAdam, decoupled_weight_decay=True),
        "adam": RankOneAdam,
        "sgd": partial(torch.optim.SGD, momentum=0.9),  # fused fails where a head gets no gradient
        "lars": partial(timm.optim.Lars, momentum=0.9),
    }
    if config.optimiser not in makers:
        raise unknown("pretrain.optimiser", config.optimiser, makers)
    return makers[config.optimiser](groups, lr=config.lr)
