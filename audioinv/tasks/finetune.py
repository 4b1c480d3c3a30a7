"""Fine-tuning: all weights of a plain network and a linear head, as an upper row of a table."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from audioinv.base.errors import UserError
from audioinv.base.progress import shown
from audioinv.base.randomness import generator, seeded
from audioinv.base.tensors import device_of
from audioinv.tasks.labelled import Labelled
from audioinv.tasks.scores import score, task_loss
from audioinv.tasks.settings.finetune import FinetuneConfig


class Finetuned(nn.Module):
    """A backbone and a linear head: maps (B, C, H, W) -> outputs (B, m)."""

    def __init__(self, backbone: nn.Module, d: int, outputs: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(d, outputs)

    def forward(self, maps: Tensor) -> Tensor:
        """Class scores, label logits or standardised values."""
        outputs: Tensor = self.head(self.backbone(maps))
        return outputs


def finetune(
    backbone: nn.Module, maps: Tensor, data: Labelled, config: FinetuneConfig, seed: int = 0
) -> Finetuned:
    """A copy of `backbone` fitted to the training rows; the epoch is chosen on validation rows.

    Without validation rows the last epoch counts.

    Args:
        backbone: a plain network with `dim`. maps: (n, C, H, W) of all rows.

    Raises:
        UserError: settings that cannot work.
    """
    if config.epochs < 1 or config.batch_size < 2 or config.lr <= 0:
        raise UserError(
            f"finetune.epochs is {config.epochs}, batch_size {config.batch_size}, lr {config.lr}; "
            "give 1 or more, 2 or more, above 0"
        )
    network, d = copy.deepcopy(backbone).requires_grad_(True), int(backbone.dim)  # type: ignore[arg-type]
    with seeded(seed, "finetune head"):
        model = Finetuned(network, d, data.n_outputs)
    device = device_of(model.backbone)
    model.to(device)
    groups = [
        {"params": model.backbone.parameters(), "lr": config.lr},
        {"params": model.head.parameters(), "lr": config.head_lr},
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
    steps = config.epochs * math.ceil(len(data.train) / config.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    best, kept = -math.inf, copy.deepcopy(model.state_dict())
    for epoch in shown(range(config.epochs), "fine-tuning", "epochs"):
        model.train()
        order = torch.randperm(len(data.train), generator=generator(seed, "finetune", epoch))
        for rows in data.train[order].split(config.batch_size):
            if len(rows) < 2:  # BatchNorm cannot normalise a single example
                continue
            loss = task_loss(model(maps[rows].to(device)), data.targets[rows].to(device), data.kind)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        value = validation_value(model, maps, data) if len(data.valid) else float(epoch)
        if value > best:
            best, kept = value, copy.deepcopy(model.state_dict())
    model.load_state_dict(kept)
    return model.eval()


def validation_value(model: Finetuned, maps: Tensor, data: Labelled) -> float:
    """The task's score on validation rows: higher is better."""
    return score(predict(model, maps[data.valid]), data.targets[data.valid], data.kind)


@torch.no_grad()
def predict(model: Finetuned, maps: Tensor, batch_size: int = 256) -> Tensor:
    """Outputs (n, m), on the CPU, of maps (n, C, H, W)."""
    model.eval()
    device = device_of(model)
    return torch.cat([model(part.to(device)).cpu() for part in maps.split(batch_size)])
