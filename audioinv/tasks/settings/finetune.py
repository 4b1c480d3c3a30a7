"""Settings of fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class FinetuneConfig:
    """How to fine-tune.

    Args:
        epochs: passes over the training clips. batch_size: clips of a batch.
        lr: peak of AdamW's learning rate, with a half cosine to zero. head_lr: of the linear head.
        weight_decay: of AdamW.
    """

    epochs: int = 20
    batch_size: int = 64
    lr: float = 1e-3
    head_lr: float = 1e-2
    weight_decay: float = 1e-4
